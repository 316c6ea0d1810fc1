//! Exceptions.

use pyo3::{
    create_exception,
    exceptions::{PyConnectionError, PyLookupError, PyOSError, PyValueError},
    prelude::*,
};
use wt_reactor::{Error, Failure};

create_exception!(pywebtransport._core, HandleError, PyLookupError);
// With the endpoint all of its handles are gone
create_exception!(pywebtransport._core, ClosedError, HandleError);
create_exception!(pywebtransport._core, ConfigError, PyValueError);
create_exception!(pywebtransport._core, StreamResetError, PyConnectionError);
create_exception!(pywebtransport._core, StreamStoppedError, PyConnectionError);

pub(crate) fn config_error(error: Error) -> PyErr {
    match error {
        Error::Config(text) => ConfigError::new_err(text),
        Error::Io(error) => PyOSError::new_err(error),
    }
}

pub(crate) fn failure(error: Failure) -> PyErr {
    match error {
        Failure::Gone(_) => HandleError::new_err(error.to_string()),
        Failure::Closed => ClosedError::new_err(error.to_string()),
        Failure::Stopped(code) => StreamStoppedError::new_err((code,)),
        Failure::Invalid(text) => PyValueError::new_err(text),
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("HandleError", py.get_type::<HandleError>())?;
    module.add("ClosedError", py.get_type::<ClosedError>())?;
    module.add("ConfigError", py.get_type::<ConfigError>())?;
    module.add("StreamResetError", py.get_type::<StreamResetError>())?;
    module.add("StreamStoppedError", py.get_type::<StreamStoppedError>())
}
