//! Memory per record: the resident memory of a process of its own, before and after a structure took a million records. That is what
//! an operator sees: what the allocator wastes counts too. Every structure is read through once, for some take memory only then.

use std::env;
use std::fs;
use std::process::Command;

use tokio::runtime::Builder;

use super::contestant::{Contestant, Points};
use super::keys::{self, RECORDS};
use super::ours::Ours;
use super::peers::IndexedDash;
use super::work::LOADED;
use crate::Result;

/// Bytes per record beyond key and value, measured in a child process.
pub(crate) fn of<C: Contestant>(key_len: usize) -> Result<f64> {
    let child = Command::new(env::current_exe()?)
        .args(["footprint", C::NAME, &key_len.to_string()])
        .output()?;
    if !child.status.success() {
        let why = String::from_utf8_lossy(&child.stderr);
        return Err(format!("the memory of {}: {}", C::NAME, why.trim()).into());
    }
    Ok(String::from_utf8(child.stdout)?.trim().parse()?)
}

/// The child's part.
pub(crate) fn measure(structure: &str, key_len: usize) -> Result<f64> {
    match structure {
        Ours::NAME => fill::<Ours>(key_len),
        IndexedDash::NAME => fill::<IndexedDash>(key_len),
        _ => Err(format!("no structure {structure:?}").into()),
    }
}

fn fill<C: Points>(key_len: usize) -> Result<f64> {
    let runtime = Builder::new_current_thread().build()?;
    let order = keys::shuffled(RECORDS, 1);
    let mut key = String::with_capacity(2 * key_len);
    let before = resident()?;
    let structure = C::new()?;
    runtime.block_on(async {
        for i in &order {
            keys::write_key(&mut key, *i, 'k', key_len);
            structure.write(&key, &LOADED).await?;
        }
        for i in &order {
            keys::write_key(&mut key, *i, 'k', key_len);
            structure.read(&key).await?;
        }
        Result::<_>::Ok(())
    })?;
    let taken = resident()?.saturating_sub(before) as f64;
    drop(structure);
    Ok(taken / RECORDS as f64 - (key_len + LOADED.len()) as f64)
}

/// The resident memory of this process, in bytes.
fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next())
        .ok_or("this system does not tell a process's resident memory")?;
    Ok(kib.parse::<u64>()? * 1024)
}
