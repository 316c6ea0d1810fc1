//! Bytes between Python and Rust.

use std::{ffi::c_int, mem::MaybeUninit, slice};

use bytes::Bytes;
use pyo3::{
    exceptions::PyBufferError,
    ffi,
    prelude::*,
    pybacked::PyBackedBytes,
    types::{PyBytes, PyList, PyMemoryView},
};

/// Copying less is faster than keeping a reference.
const SMALL: usize = 2048;

/// A view of any contiguous object with the buffer protocol. Lives only while its thread is attached.
struct View<'py> {
    view: ffi::Py_buffer,
    _py: Python<'py>,
}

impl<'py> View<'py> {
    fn new(object: &Bound<'py, PyAny>, flags: c_int) -> PyResult<Self> {
        let mut view = MaybeUninit::uninit();
        // SAFETY: `view` is memory for a Py_buffer; the thread is attached, as `object` shows
        let result = unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), view.as_mut_ptr(), flags) };
        if result < 0 {
            return Err(PyErr::fetch(object.py()));
        }
        // SAFETY: PyObject_GetBuffer has succeeded and thereby initialised it
        Ok(Self { view: unsafe { view.assume_init() }, _py: object.py() })
    }

    fn len(&self) -> usize {
        self.view.len.unsigned_abs()
    }

    fn bytes(&self) -> &[u8] {
        if self.view.buf.is_null() {
            return &[];
        }
        // SAFETY: without PyBUF_STRIDES the exporter guarantees `len` contiguous bytes at `buf` until the view is
        // released. Another thread could write to them meanwhile only without holding the GIL, which the buffer
        // protocol leaves to its users to avoid.
        unsafe { slice::from_raw_parts(self.view.buf.cast(), self.len()) }
    }

    fn bytes_mut(&mut self) -> PyResult<&mut [u8]> {
        if self.view.readonly != 0 {
            return Err(PyBufferError::new_err("the buffer is read-only"));
        }
        if self.view.buf.is_null() {
            return Ok(&mut []);
        }
        // SAFETY: as above, and the exporter allows writing
        Ok(unsafe { slice::from_raw_parts_mut(self.view.buf.cast(), self.len()) })
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        // SAFETY: filled by PyObject_GetBuffer, released once, and the thread is attached (`_py`)
        unsafe { ffi::PyBuffer_Release(&raw mut self.view) };
    }
}

/// Calls `action` with the bytes of any object with the buffer protocol.
pub(crate) fn with_bytes<T>(object: &Bound<'_, PyAny>, action: impl FnOnce(&[u8]) -> T) -> PyResult<T> {
    if let Ok(bytes) = object.cast_exact::<PyBytes>() {
        return Ok(action(bytes.as_bytes()));
    }
    Ok(action(View::new(object, ffi::PyBUF_SIMPLE)?.bytes()))
}

/// The bytes of any object with the buffer protocol, to keep: by reference if nobody can change them.
pub(crate) fn to_bytes(object: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    if let Ok(bytes) = object.cast_exact::<PyBytes>() {
        return Ok(share(bytes));
    }
    let view = View::new(object, ffi::PyBUF_SIMPLE)?;
    let data = view.bytes();
    if data.len() > SMALL
        && let Some(shared) = share_view(object, data)
    {
        return Ok(shared);
    }
    Ok(Bytes::copy_from_slice(data))
}

fn share(bytes: &Bound<'_, PyBytes>) -> Bytes {
    let data = bytes.as_bytes();
    if data.len() <= SMALL {
        return Bytes::copy_from_slice(data);
    }
    Bytes::from_owner(PyBackedBytes::from(bytes.clone()))
}

/// `data` of a memoryview, if that is a part of a `bytes` object.
fn share_view(object: &Bound<'_, PyAny>, data: &[u8]) -> Option<Bytes> {
    let owner = object.cast_exact::<PyMemoryView>().ok()?.getattr("obj").ok()?;
    let owner = owner.cast_exact::<PyBytes>().ok()?;
    let start = (data.as_ptr() as usize).checked_sub(owner.as_bytes().as_ptr() as usize)?;
    let end = start.checked_add(data.len()).filter(|x| *x <= owner.as_bytes().len())?;
    Some(share(owner).slice(start..end))
}

/// One `bytes` object of all pieces: the only copy on the way from the packets to the application.
pub(crate) fn join<'py>(py: Python<'py>, pieces: &[Bytes]) -> PyResult<Bound<'py, PyBytes>> {
    if let [piece] = pieces {
        return Ok(PyBytes::new(py, piece));
    }
    PyBytes::new_with(py, pieces.iter().map(Bytes::len).sum(), |mut out| {
        for piece in pieces {
            let (head, tail) = out.split_at_mut(piece.len());
            head.copy_from_slice(piece);
            out = tail;
        }
        Ok(())
    })
}

/// A piece of what was received, where the packets left it.
#[pyclass(frozen, module = "pywebtransport._core")]
struct Piece(Bytes);

#[pymethods]
impl Piece {
    /// # Safety
    ///
    /// `view` is memory for a Py_buffer, as Python guarantees to whoever exports one.
    unsafe fn __getbuffer__(slf: &Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let data = &slf.get().0;
        let length = isize::try_from(data.len())?;
        // SAFETY: `view` as above; the bytes stay where they are as long as the object, to which the view gets a
        // reference; they are never written to, as the view is read-only (1)
        let result = unsafe {
            ffi::PyBuffer_FillInfo(view, slf.as_ptr(), data.as_ptr().cast_mut().cast(), length, 1, flags)
        };
        if result < 0 { Err(PyErr::fetch(slf.py())) } else { Ok(()) }
    }
}

/// Read-only views of the pieces. Nothing is copied.
pub(crate) fn views(py: Python<'_>, pieces: Vec<Bytes>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for piece in pieces {
        list.append(PyMemoryView::from(Bound::new(py, Piece(piece))?.as_any())?)?;
    }
    Ok(list)
}

/// Room for what is read.
pub(crate) struct Target<'py>(View<'py>);

impl<'py> Target<'py> {
    pub(crate) fn new(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        View::new(object, ffi::PyBUF_WRITABLE).map(Self)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts the pieces one after the other; they have to fit.
    pub(crate) fn fill(&mut self, pieces: &[Bytes]) -> PyResult<usize> {
        let mut out = self.0.bytes_mut()?;
        let mut count = 0;
        for piece in pieces {
            let (head, tail) = out.split_at_mut(piece.len());
            head.copy_from_slice(piece);
            out = tail;
            count += piece.len();
        }
        Ok(count)
    }
}
