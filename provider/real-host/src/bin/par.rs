//! Makes a provider archive of a provider binary: `par <binary> <archive.par.gz>`.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use nkeys::KeyPair;
use provider_archive::ProviderArchive;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: par <provider binary> <archive.par.gz>";
    let (binary, archive) = (arguments.next().context(usage)?, arguments.next().context(usage)?);
    ensure!(arguments.next().is_none(), usage);
    let program = tokio::fs::read(&binary).await.with_context(|| binary.clone())?;
    let mut par = ProviderArchive::new("keyvalue", "store", Some(1), None);
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    par.add_library(&target, &program).map_err(|e| anyhow::anyhow!("{e}"))?;
    // Signed by keys that nobody keeps: hosts check the form, and registries the digest.
    let (issuer, subject) = (KeyPair::new_account(), KeyPair::new_service());
    par.write(Path::new(&archive), &issuer, &subject, archive.ends_with(".gz"))
        .await
        .map_err(|e| anyhow::anyhow!("{e}"))?;
    Ok(())
}
