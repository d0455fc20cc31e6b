//! Postgres, Redis and SeaweedFS as images: the programs of this machine's Debian packages with the libraries that they are
//! linked with, and of a Python package, run as nobody in particular. Nothing of a registry of images is needed, and what is
//! tested is the real thing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use ragops_tests::image::{Image, Item};

use crate::shared::root;

pub(crate) const POSTGRES: &str = "ragops.test/postgres:1";
pub(crate) const REDIS: &str = "ragops.test/redis:1";
pub(crate) const SEAWEEDFS: &str = "ragops.test/seaweedfs:1";

/// Who they run as, as the other images' programs do.
const USER: u32 = 65532;
const SHELL: &str = "/bin/sh";
const REDIS_SERVER: &str = "/usr/bin/redis-server";

/// What `program.sh` says when there is nothing to install with.
const NO_INSTALLER: i32 = 3;

/// Makes a database where there is none yet, and serves it. What it acknowledged is on the disk, as its defaults say.
const SERVE: &str = r#"
set -e
data=/data/postgres
if [ ! -s $data/PG_VERSION ]; then
  $PROGRAMS/initdb -D $data --auth=scram-sha-256 --encoding=UTF8 --locale=C --username="$(cat /etc/postgres/username)" --pwfile=/etc/postgres/password
  echo 'host all all all scram-sha-256' >> $data/pg_hba.conf
fi
exec $PROGRAMS/postgres -D $data -c listen_addresses='*' -c unix_socket_directories=
"#;

/// Why Postgres and Redis cannot be packed here, if so.
pub(crate) fn missing() -> Option<String> {
    let lacks = |what: &str| Some(format!("{what} is not installed (tests/packages.sh installs it)"));
    match (programs(), Path::new(REDIS_SERVER).exists()) {
        (None, _) => lacks("postgresql"),
        (_, false) => lacks("redis-server"),
        (Some(_), true) => None,
    }
}

/// The newest Postgres of this machine, such as `15`, and where its programs are.
fn programs() -> Option<(String, PathBuf)> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let programs =
        |entry: std::fs::DirEntry| (entry.file_name().to_string_lossy().into_owned(), entry.path().join("bin"));
    versions.map(programs).filter(|(_, bin)| bin.join("initdb").exists()).max()
}

/// Writes the archives of those that can be packed here into a folder.
pub(crate) fn images(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut images = Vec::new();
    if missing().is_none() {
        images.extend([postgres(folder)?, redis()?]);
    }
    images.extend(seaweedfs()?.ok().map(bucket));
    let archive = |(number, image): (usize, Image)| {
        let archive = folder.join(format!("{number}.tar"));
        image.write(&archive)?;
        Ok(archive)
    };
    images.into_iter().enumerate().map(archive).collect()
}

/// The program of SeaweedFS, which is installed where it is not here yet; or why it cannot be.
pub(crate) fn seaweedfs() -> Result<Result<PathBuf, String>> {
    let setup = root().join("tests/s3/program.sh");
    let output = Command::new("bash").arg(&setup).output().with_context(|| format!("{}", setup.display()))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.code() == Some(NO_INSTALLER) {
        return Ok(Err(said));
    }
    ensure!(output.status.success(), "SeaweedFS was not installed: {said}");
    Ok(Ok(String::from_utf8(output.stdout)?.trim().into()))
}

/// It is linked with nothing.
fn bucket(program: PathBuf) -> Image {
    let to = PathBuf::from("/weed");
    let entrypoint = vec!["/weed".to_owned()];
    let items = vec![Item::File { from: program, to }, Item::Folder { to: "/tmp".into() }];
    Image { name: SEAWEEDFS.into(), entrypoint, user: USER, environment: Vec::new(), items }
}

fn postgres(folder: &Path) -> Result<Image> {
    let (version, bin) = programs().context("no Postgres is installed")?;
    let lib = bin.with_file_name("lib");
    let same = |path: PathBuf| Item::File { from: path.clone(), to: path };
    // The shell, and what a database is made with, among it the one language that initdb installs.
    let programs = [bin.join("postgres"), bin.join("initdb"), SHELL.into(), "/bin/cat".into()];
    let mut items = linked(&programs)?;
    items.extend(["plpgsql.so", "dict_snowball.so"].map(|name| same(lib.join(name))));
    let share = Path::new("/usr/share/postgresql").join(version);
    items.push(Item::Tree { from: share.clone(), to: share });
    // The zone that clients ask for by its name.
    items.push(same("/usr/share/zoneinfo/UTC".into()));
    // It refuses to run as a user without a name.
    let users = folder.join("passwd");
    std::fs::write(&users, format!("postgres:x:{USER}:{USER}::/:{SHELL}\n"))?;
    items.push(Item::File { from: users, to: "/etc/passwd".into() });
    items.push(Item::Folder { to: "/tmp".into() });
    Ok(Image {
        name: POSTGRES.into(),
        entrypoint: vec![SHELL.into(), "-c".into(), SERVE.into()],
        user: USER,
        environment: vec![format!("PROGRAMS={}", bin.display())],
        items,
    })
}

fn redis() -> Result<Image> {
    let entrypoint = vec![REDIS_SERVER.into(), "/etc/redis/redis.conf".into()];
    let items = linked(&[REDIS_SERVER.into()])?;
    Ok(Image { name: REDIS.into(), entrypoint, user: USER, environment: Vec::new(), items })
}

/// Programs and every library that they are linked with, each where it is here.
fn linked(programs: &[PathBuf]) -> Result<Vec<Item>> {
    let mut files = BTreeSet::new();
    for program in programs {
        let output = Command::new("ldd").arg(program).output().context("ldd does not start")?;
        ensure!(
            output.status.success(),
            "ldd {}: {}",
            program.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let said = String::from_utf8(output.stdout)?;
        files.extend(said.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from));
        files.insert(program.clone());
    }
    Ok(files.into_iter().map(|path| Item::File { from: path.clone(), to: path }).collect())
}
