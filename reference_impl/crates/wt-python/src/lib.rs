//! The module `pywebtransport._core`. Its documentation is the stub `_core.pyi`.

mod buffer;
mod config;
mod endpoint;
mod error;
mod event;

use pyo3::{prelude::*, types::PyBytes};

use crate::error::config_error;

/// See the stub.
#[pyfunction]
#[pyo3(signature = (hostname, days = 10))]
fn generate_self_signed<'py>(
    py: Python<'py>,
    hostname: &str,
    days: i64,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let (certificate, key) = wt_reactor::generate_self_signed(hostname, days).map_err(config_error)?;
    Ok((PyBytes::new(py, certificate.as_bytes()), PyBytes::new(py, key.as_bytes())))
}

/// See the stub.
#[pyfunction]
fn certificate_hash<'py>(py: Python<'py>, certificate: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let hash = wt_reactor::certificate_hash(certificate).map_err(config_error)?;
    Ok(PyBytes::new(py, &hash))
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<endpoint::Endpoint>()?;
    module.add_function(wrap_pyfunction!(generate_self_signed, module)?)?;
    module.add_function(wrap_pyfunction!(certificate_hash, module)?)?;
    module.add("version", env!("CARGO_PKG_VERSION"))?;
    event::register(module)?;
    error::register(module)
}
