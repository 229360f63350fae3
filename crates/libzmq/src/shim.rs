//! temporary
use xebec::*;
pub(crate) trait Later { fn configure<E: From<OptionError>>(&self, f: impl FnOnce(&mut ContextOptions) -> Result<(), E>) -> Result<(), E>; fn options(&self) -> ContextOptions; }
impl Later for Context { fn configure<E: From<OptionError>>(&self, f: impl FnOnce(&mut ContextOptions) -> Result<(), E>) -> Result<(), E> { f(&mut ContextOptions::new()) } fn options(&self) -> ContextOptions { ContextOptions::new() } }
pub(crate) trait Tell { fn tell_c(&self, value: &Value, room: usize) -> Result<Vec<u8>, OptionError>; }
impl<O: 'static> Tell for OptionSpec<O> { fn tell_c(&self, value: &Value, _room: usize) -> Result<Vec<u8>, OptionError> { self.to_c(value).ok_or(OptionError::ReadOnly("")) } }
