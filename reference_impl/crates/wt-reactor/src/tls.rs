//! TLS: identities, trust, key log.

use std::{
    fmt,
    fs::File,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{
    CipherSuite, ClientConfig, DigitallySignedStruct, KeyLog, KeyLogFile, RootCertStore, ServerConfig,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    version::TLS13,
};

use crate::config::{Error, Tls, Verify};

/// That of ring, with the cheaper AES-128 first as in most stacks.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|x| x.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}

fn bad(what: &str, error: impl fmt::Display) -> Error {
    Error::Config(format!("{what}: {error}"))
}

impl Tls {
    pub(crate) fn server(&self) -> Result<ServerConfig, Error> {
        let provider = provider();
        let (chain, key) = self
            .identity()?
            .ok_or_else(|| Error::Config("a server needs certificate and private_key".to_owned()))?;
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(|e| bad("TLS", e))?;
        let builder = match self.verify {
            Verify::None => builder.with_no_client_auth(),
            Verify::Optional | Verify::Required => {
                builder.with_client_cert_verifier(self.client_verifier(provider)?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|e| bad("certificate", e))?;
        config.alpn_protocols.clone_from(&self.alpn);
        config.key_log = self.key_log()?;
        // QUIC knows no other value (RFC 9001 §4.6.1)
        config.max_early_data_size = if self.early_data { u32::MAX } else { 0 };
        Ok(config)
    }

    pub(crate) fn client(&self) -> Result<ClientConfig, Error> {
        if self.early_data {
            // No session can be asked for in it (-16 §3.2)
            return Err(Error::Config("early_data: clients send nothing in 0-RTT".to_owned()));
        }
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(|e| bad("TLS", e))?;
        let builder = if !self.certificate_hashes.is_empty() || self.verify == Verify::None {
            let verifier = Leaf { hashes: self.certificate_hashes.clone(), provider };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        } else {
            let verifier = WebPkiServerVerifier::builder_with_provider(self.roots()?, provider)
                .build()
                .map_err(|e| bad("ca", e))?;
            builder.with_webpki_verifier(verifier)
        };
        let mut config = match self.identity()? {
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain, key).map_err(|e| bad("certificate", e))?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        config.key_log = self.key_log()?;
        Ok(config)
    }

    fn identity(&self) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, Error> {
        match (&self.certificate, &self.private_key) {
            (None, None) => Ok(None),
            (Some(chain), Some(key)) => {
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| bad("private_key", e))?;
                Ok(Some((certificates(chain, "certificate")?, key)))
            }
            _ => Err(Error::Config("certificate and private_key need each other".to_owned())),
        }
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, Error> {
        let mut roots = RootCertStore::empty();
        if let Some(ca) = &self.ca {
            for certificate in certificates(ca, "ca")? {
                roots.add(certificate).map_err(|e| bad("ca", e))?;
            }
        } else {
            // A single unusable file in the system's collection must not spoil the rest
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Ok(Arc::new(roots))
    }

    fn client_verifier(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        let builder = WebPkiClientVerifier::builder_with_provider(self.roots()?, provider);
        let builder = if self.verify == Verify::Optional { builder.allow_unauthenticated() } else { builder };
        builder.build().map_err(|e| bad("ca", e))
    }

    fn key_log(&self) -> Result<Arc<dyn KeyLog>, Error> {
        match &self.keylog_file {
            Some(path) => Ok(Arc::new(KeyLogTo::open(path)?)),
            None => Ok(Arc::new(KeyLogFile::new())),
        }
    }
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|e| bad(what, e))?;
    if found.is_empty() {
        return Err(bad(what, "no certificate in it"));
    }
    Ok(found)
}

/// SHA-256 over the DER of the first certificate of a PEM.
pub fn certificate_hash(pem: &[u8]) -> Result<[u8; 32], Error> {
    Ok(hash(&certificates(pem, "certificate")?[0]))
}

fn hash(certificate: &CertificateDer<'_>) -> [u8; 32] {
    let suite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let mut out = [0; 32];
    if let Some(suite) = suite.tls13() {
        out.copy_from_slice(suite.common.hash_provider.hash(certificate).as_ref());
    }
    out
}

/// An ECDSA P-256 certificate, valid from yesterday on for `days` in total, and its key, both PEM. Browsers
/// accept no more than 14 days for `serverCertificateHashes`.
pub fn generate_self_signed(hostname: &str, days: i64) -> Result<(String, String), Error> {
    let mut names = vec![hostname.to_owned()];
    if hostname == "localhost" {
        names.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
    }
    let fail = |e: rcgen::Error| bad("hostname", e);
    let mut parameters = rcgen::CertificateParams::new(names).map_err(fail)?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, hostname);
    let start = time::OffsetDateTime::now_utc() - time::Duration::DAY;
    parameters.not_before = start;
    parameters.not_after = start
        .checked_add(time::Duration::days(days))
        .ok_or_else(|| Error::Config("days is too large".to_owned()))?;
    let key = rcgen::KeyPair::generate().map_err(fail)?;
    let certificate = parameters.self_signed(&key).map_err(fail)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// Accepts leaves by their hash; without any hash, everything. Signatures are verified in any case.
#[derive(Debug)]
struct Leaf {
    hashes: Vec<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Leaf {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.hashes.is_empty() || self.hashes.contains(&hash(leaf)) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Key log of a path that was configured rather than taken from the environment.
#[derive(Debug)]
struct KeyLogTo(Mutex<File>);

impl KeyLogTo {
    fn open(path: &Path) -> Result<Self, Error> {
        // For the eyes of whoever asked for it
        let file = File::options().append(true).create(true).mode(0o600).open(path)?;
        Ok(Self(Mutex::new(file)))
    }
}

impl KeyLog for KeyLogTo {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|x| format!("{x:02x}")).collect::<String>();
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        // A full disk must not end the connection
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_sha256_over_der() {
        // FIPS 180-4, "abc"
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let found = hash(&CertificateDer::from_slice(b"abc"));
        assert_eq!(found.iter().map(|x| format!("{x:02x}")).collect::<String>(), expected);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let (certificate, key) = generate_self_signed("localhost", 10).unwrap();
        let mut tls = crate::config::Config::new(wt_core::Role::Server).tls;
        assert!(tls.server().unwrap_err().to_string().contains("needs certificate"));
        tls.certificate = Some(certificate.into());
        assert!(tls.server().unwrap_err().to_string().contains("need each other"));
        tls.private_key = Some(b"no key".to_vec());
        assert!(tls.server().unwrap_err().to_string().contains("private_key"));
        tls.private_key = Some(key.into());
        tls.server().unwrap();
        (tls.ca, tls.verify) = (Some(b"nothing".to_vec()), Verify::Required);
        assert!(tls.client().unwrap_err().to_string().contains("no certificate"));
        tls.early_data = true;
        assert!(tls.client().unwrap_err().to_string().contains("0-RTT"));
    }
}
