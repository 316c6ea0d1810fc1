//! Puts together the source of this crate: quinn-proto as published, plus the patch
use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};

const CRATE: &str = "quinn-proto";
const VERSION: &str = "0.11.19";
/// SHA-256 over the sorted files of the published `src`
const SHA256: &str = include_str!("patches/source.sha256");
const PATCH: &str = include_str!("patches/reset-stream-at.patch");

type Files = BTreeMap<String, Vec<u8>>;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=patches");
    println!("cargo::rerun-if-env-changed=WT_QUIC_SOURCE");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());

    let mut files = Files::new();
    if let Some(tree) = env::var_os("WT_QUIC_SOURCE").map(PathBuf::from) {
        // Patched already, by scripts/quic-patch
        println!("cargo::rerun-if-changed={}", tree.display());
        read(&tree.join("src"), "src", &mut files);
    } else {
        let root = locate(&out);
        read(&root.join("src"), "src", &mut files);
        let found = digest(&files);
        assert_eq!(found, SHA256.trim(), "unexpected source in {}", root.display());
        apply(PATCH, &mut files);
    }

    // `include!` accepts no inner attributes
    let lib = files.get_mut("src/lib.rs").unwrap();
    let text = String::from_utf8(std::mem::take(lib)).unwrap();
    let inner = |line: &&str| line.starts_with("#![") || line.starts_with("//!");
    *lib = text.split_inclusive('\n').filter(|x| !inner(x)).collect::<String>().into();

    let _ = fs::remove_dir_all(out.join("src"));
    for (name, data) in files {
        let path = out.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    }
}

/// Ask cargo where it unpacked the crate, which it verified against Cargo.lock
fn locate(out: &Path) -> PathBuf {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap());
    // A package of its own, as this one's dev-dependencies may not have been fetched
    let probe = out.join("probe");
    fs::create_dir_all(probe.join("src")).unwrap();
    fs::write(probe.join("src/lib.rs"), "").unwrap();
    fs::write(
        probe.join("Cargo.toml"),
        format!(
            "[package]\nname = \"probe\"\nedition = \"2021\"\n[workspace]\n[dependencies]\n\
             {CRATE} = {{ version = \"={VERSION}\", default-features = false }}\n"
        ),
    )
    .unwrap();
    if let Some(lock) = here.ancestors().map(|x| x.join("Cargo.lock")).find(|x| x.exists()) {
        fs::copy(lock, probe.join("Cargo.lock")).unwrap();
    }
    let output = Command::new(env::var_os("CARGO").unwrap())
        .args(["metadata", "--format-version=1", "--offline", "--filter-platform"])
        .arg(env::var_os("TARGET").unwrap())
        .arg("--manifest-path")
        .arg(probe.join("Cargo.toml"))
        .current_dir(&here)
        .output()
        .expect("can't run cargo");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata failed: {errors}");
    let package = format!("\"name\":\"{CRATE}\",\"version\":\"{VERSION}\"");
    let (_, rest) = text.split_once(&package).expect("crate not found");
    let (_, rest) = rest.split_once("\"manifest_path\":\"").unwrap();
    let (path, _) = rest.split_once('"').unwrap();
    Path::new(&path.replace("\\\\", "\\")).parent().unwrap().to_owned()
}

fn read(dir: &Path, name: &str, files: &mut Files) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{name}/{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            read(&path, &name, files);
        } else {
            files.insert(name, fs::read(path).unwrap());
        }
    }
}

/// Apply a unified diff; neither offsets nor fuzz, as the source is known to the byte
fn apply(patch: &str, files: &mut Files) {
    let mut lines = patch.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let Some(old) = line.strip_prefix("--- ") else { continue };
        let new = lines.next().and_then(|x| x.strip_prefix("+++ b/")).expect("no +++");
        let name = new.trim_end().to_owned();
        let source = match old.trim_end() {
            "/dev/null" => String::new(),
            _ => String::from_utf8(files.remove(&name).expect("no such file")).unwrap(),
        };
        let mut source = source.split_inclusive('\n');
        let (mut at, mut result) = (0, String::new());
        while let Some(header) = lines.next_if(|x| x.starts_with("@@ ")) {
            let number = |sign| -> (usize, usize) {
                let range = header.split(' ').find_map(|x| x.strip_prefix(sign)).unwrap();
                let (start, len) = range.split_once(',').unwrap_or((range, "1"));
                (start.parse().unwrap(), len.parse().unwrap())
            };
            let ((start, mut old), (_, mut new)) = (number('-'), number('+'));
            // With nothing removed, `start` is the line to insert after
            while at + usize::from(old > 0) < start {
                result += source.next().expect("source too short");
                at += 1;
            }
            while old + new > 0 {
                let line = lines.next().expect("patch too short");
                let (kind, text) = line.split_at(1);
                if kind != "+" {
                    assert_eq!(source.next(), Some(text), "{name} doesn't match the patch");
                    at += 1;
                    old -= 1;
                }
                if kind != "-" {
                    result += text;
                    new -= 1;
                }
            }
        }
        result.extend(source);
        files.insert(name, result.into_bytes());
    }
}

fn digest(files: &Files) -> String {
    let mut hash = Sha256::new();
    for (name, content) in files {
        hash.update(format!("{name} {}\n", content.len()));
        hash.update(content);
    }
    hash.finalize().iter().map(|x| format!("{x:02x}")).collect()
}
