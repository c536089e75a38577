//! A fixture shared by all tests of a file, started by the first.

use anyhow::Result;
use tokio::sync::OnceCell;

/// A fixture that is started once.
pub struct Shared<T>(OnceCell<T>);

impl<T> Shared<T> {
    #[allow(clippy::new_without_default, reason = "it is always a static")]
    pub const fn new() -> Self {
        Self(OnceCell::const_new())
    }

    /// Returns the fixture, and starts it unless another test has done so.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn get(&self, start: impl AsyncFnOnce() -> Result<T>) -> &T {
        self.0.get_or_init(async || start().await.expect("the world starts")).await
    }
}

/// Defines `async fn $name() -> &'static $type`: a fixture shared by the tests of a file, started by the first that needs it.
#[macro_export]
macro_rules! shared {
    ($(#[$doc:meta])* $name:ident: $type:ty = $start:expr) => {
        $(#[$doc])*
        async fn $name() -> &'static $type {
            static SHARED: $crate::testkit::Shared<$type> = $crate::testkit::Shared::new();
            SHARED.get($start).await
        }
    };
}
