//! `cluster image`: packs files into an image archive.

use std::path::PathBuf;

use anyhow::{Context, Result};
use ragops_tests::image::{Image, Item};

/// What to pack.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Name and tag, such as ragops/rag-server:0.1.0
    #[arg(long)]
    name: String,
    /// The program and its fixed arguments, one flag for each
    #[arg(long, required = true, allow_hyphen_values = true)]
    entrypoint: Vec<String>,
    /// The numeric user that it runs as
    #[arg(long, default_value_t = 65532)]
    user: u32,
    /// KEY=VALUE in the environment
    #[arg(long)]
    env: Vec<String>,
    /// FROM:TO, a file (executable in the image if it is here) or a folder with everything in it
    #[arg(long, alias = "dir", value_parser = pair)]
    file: Vec<(PathBuf, PathBuf)>,
    /// An empty folder that the user may write to; /tmp and /data if none is given
    #[arg(long)]
    writable: Vec<PathBuf>,
    /// The archive to write
    #[arg(long)]
    out: PathBuf,
}

fn pair(text: &str) -> Result<(PathBuf, PathBuf)> {
    let (from, to) = text.rsplit_once(':').with_context(|| format!("\"{text}\" is not FROM:TO"))?;
    Ok((from.into(), to.into()))
}

impl Arguments {
    pub(crate) fn run(self) -> Result<()> {
        let writable = if self.writable.is_empty() { vec!["/tmp".into(), "/data".into()] } else { self.writable };
        let mut items: Vec<Item> = writable.into_iter().map(|to| Item::Folder { to }).collect();
        items.extend(self.file.into_iter().map(|(from, to)| match from.is_dir() {
            true => Item::Tree { from, to },
            false => Item::File { from, to },
        }));
        let image =
            Image { name: self.name, entrypoint: self.entrypoint, user: self.user, environment: self.env, items };
        image.write(&self.out)?;
        eprintln!("wrote {} as {}", self.out.display(), image.name);
        Ok(())
    }
}
