//! A fixture shared by all tests of a file, started by the first.

use anyhow::Result;
use tokio::sync::OnceCell;

/// A world that is started once.
pub struct Shared<T>(OnceCell<T>);

impl<T> Shared<T> {
    #[allow(clippy::new_without_default, reason = "it is always a static")]
    pub const fn new() -> Self {
        Self(OnceCell::const_new())
    }

    /// The world, started now unless another test has started it.
    ///
    /// # Panics
    /// It does not start.
    pub async fn get(&self, start: impl AsyncFnOnce() -> Result<T>) -> &T {
        self.0.get_or_init(async || start().await.expect("the world starts")).await
    }
}

/// `async fn $name() -> &'static $type`: what the tests of a file share, started by the first that needs it.
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
