use crate::call::Call;
use crate::error::{Error, ErrorKind};
use crate::layer::{Answer, Around, Items, Run};

/// Refuses every change with [`PermissionDenied`](ErrorKind::PermissionDenied), before it leaves the process.
///
/// [`Capability`](crate::Capability) stays as it is: it says what the store can keep and how, not who may change it, so that a
/// reader still learns whether it will meet revisions, expiries and watch events that others make.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ReadOnly;

impl ReadOnly {
    /// Read-only.
    pub fn new() -> Self {
        Self
    }
}

impl Around for ReadOnly {
    async fn around<'a, T: Answer, R: Run<'a, T>>(
        &'a self,
        _driver: &'static str,
        call: Call<'a>,
        mut run: R,
    ) -> T {
        if call.operation.is_mutation() {
            let error = Error::new(ErrorKind::PermissionDenied, "the store is read-only");
            return T::refused(call.items, error);
        }
        run.run(Items::All).await
    }
}
