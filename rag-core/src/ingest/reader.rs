//! Reads formats that are hostile by nature in a process of their own, so that a loop, a bomb or a crash costs one clear error.
//!
//! The parent starts its own program with a hidden subcommand, without its environment, and feeds the document to it; the child bounds its memory and its time on the processor, reads, and writes what it
//! found as lines of JSON. The parent bounds how long that takes and how much comes back.

use std::{
    io::{BufRead as _, BufReader, BufWriter, Read, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    failure::FailureReason,
    parse::{self, Format, Piece},
    read::{Inspected, bytes as read_bytes},
    source::Source,
};

/// The hidden subcommand.
const SUBCOMMAND: &str = "read-document";

/// Bytes of one line that comes back: a piece has some hundred kilobytes at most.
const MAX_LINE: u64 = 16 << 20;
/// Bytes that come back of one document.
const MAX_OUTPUT: u64 = 256 << 20;
/// Bytes of the child's complaints that are looked at.
const MAX_COMPLAINT: u64 = 16 * 1024;
/// Between two looks whether anybody still wants what a child reads.
const LOOK: Duration = Duration::from_millis(100);

/// What a child may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Megabytes of memory beyond what the program takes by itself.
    pub memory_mib: u64,
    /// Seconds on the processor.
    pub cpu_seconds: u64,
    /// Seconds by the clock; a busy machine gives little time on its processors.
    pub wall_seconds: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { memory_mib: 512, cpu_seconds: 60, wall_seconds: 600 }
    }
}

/// How such formats are read.
#[derive(Debug, Clone)]
pub enum Reader {
    /// By a child of this program.
    Child {
        /// The program.
        program: PathBuf,
        /// What it may use.
        bounds: Bounds,
    },
    /// Here; for tests of what comes after.
    #[cfg(test)]
    InProcess,
}

impl Default for Reader {
    #[cfg(test)]
    fn default() -> Self {
        Self::InProcess
    }

    /// The running program itself, also where its file was replaced or there is nothing else in the image.
    #[cfg(not(test))]
    fn default() -> Self {
        Self::Child { program: PathBuf::from("/proc/self/exe"), bounds: Bounds::default() }
    }
}

/// A line of what the child says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Piece(Piece),
    Failed(FailureReason),
    End,
}

/// Reads a document and gives its pieces to `take`; tells what was read, for whoever wants to know whether it is still the same.
pub(super) fn pieces(
    source: &Source,
    reader: &Reader,
    given_up: &AtomicBool,
    take: &mut dyn FnMut(Piece) -> Result<(), FailureReason>,
) -> Result<Inspected, FailureReason> {
    match reader {
        Reader::Child { program, bounds } => {
            let mut child = start(program, source.format, *bounds).map_err(|e| FailureReason::of_io(&e))?;
            let (input, output, complaints) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
            let (Some(input), Some(output), Some(complaints)) = (input, output, complaints) else {
                return Err(failed("its reader could not be started"));
            };
            let watched = Watched(Mutex::new(child));
            thread::scope(|scope| {
                let feeder = scope.spawn(move || feed(source, input));
                let complaints = scope.spawn(move || complaint(complaints));
                let (ended, deadline) = mpsc::channel::<()>();
                let watch = scope.spawn({
                    let watched = &watched;
                    move || watched.kill_after(Duration::from_secs(bounds.wall_seconds), &deadline, given_up)
                });
                let heard = listen(BufReader::new(output), take);
                // It has said all that it will be heard for.
                let status = watched.end();
                drop(ended);
                let (late, complaint) = (watch.join().unwrap_or(false), complaints.join().unwrap_or_default());
                let fed = feeder.join().map_err(|_| failed("feeding its reader ended unexpectedly"))?;
                match heard {
                    Ok(Heard::End) => fed,
                    Ok(Heard::Failed(reason)) | Err(reason) => Err(reason),
                    // A document that cannot be read is the first cause of whatever its reader did.
                    Ok(Heard::Nothing) => fed.and(Err(died(*bounds, late, status, &complaint))),
                }
            })
        }
        #[cfg(test)]
        Reader::InProcess => {
            let mut bytes = Vec::new();
            let inspected = read_bytes(source, &mut |piece| {
                bytes.extend_from_slice(piece);
                Ok(())
            })?;
            parse::read_binary(source.format, &bytes, take)?;
            Ok(inspected)
        }
    }
}

fn start(program: &PathBuf, format: Format, bounds: Bounds) -> std::io::Result<Child> {
    Command::new(program)
        .args([SUBCOMMAND, format.as_str()])
        .args(["--memory-mib", &bounds.memory_mib.to_string(), "--cpu-seconds", &bounds.cpu_seconds.to_string()])
        // No secret of the parent, and no library that sets aside memory for many threads.
        .env_clear()
        .envs([("MALLOC_ARENA_MAX", "1"), ("RAYON_NUM_THREADS", "1"), ("RUST_BACKTRACE", "0")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// Gives the document to the child. One that stops listening has its reason, which is heard elsewhere.
fn feed(source: &Source, mut input: ChildStdin) -> Result<Inspected, FailureReason> {
    let mut listens = true;
    read_bytes(source, &mut |piece| {
        listens = listens && input.write_all(piece).is_ok();
        Ok(())
    })
}

enum Heard {
    End,
    Failed(FailureReason),
    Nothing,
}

fn listen(
    output: BufReader<impl Read>,
    take: &mut dyn FnMut(Piece) -> Result<(), FailureReason>,
) -> Result<Heard, FailureReason> {
    let mut output = output.take(MAX_OUTPUT);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = output.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(|e| FailureReason::of_io(&e))?;
        if output.limit() == 0 {
            return Err(failed(&format!("it has more than {MAX_OUTPUT} bytes of text; split it")));
        }
        if read == 0 || !line.ends_with(b"\n") {
            return Ok(Heard::Nothing);
        }
        match serde_json::from_slice(&line) {
            Ok(Said::Piece(piece)) => take(piece)?,
            Ok(Said::Failed(reason)) => return Ok(Heard::Failed(reason)),
            Ok(Said::End) => return Ok(Heard::End),
            Err(_) => return Err(failed("its reader said something that makes no sense")),
        }
    }
}

/// The child's last words, for the class of its end alone: they may quote the document.
fn complaint(complaints: impl Read) -> String {
    let mut text = Vec::new();
    let mut complaints = complaints;
    // What cannot be read of it only makes the message less exact; the rest is thrown away, so that the child is not held up.
    drop(complaints.by_ref().take(MAX_COMPLAINT).read_to_end(&mut text));
    drop(std::io::copy(&mut complaints, &mut std::io::sink()));
    String::from_utf8_lossy(&text).into_owned()
}

/// A child that somebody else may end.
struct Watched(Mutex<Child>);

impl Watched {
    /// Kills the child after a time, or once nobody wants what it reads, unless it ended before; true when its time was over.
    fn kill_after(&self, time: Duration, ended: &mpsc::Receiver<()>, given_up: &AtomicBool) -> bool {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if ended.recv_timeout(left.min(LOOK)) != Err(mpsc::RecvTimeoutError::Timeout) {
                return false;
            }
            let late = left.is_zero();
            if late || given_up.load(Ordering::Relaxed) {
                return self.0.lock().unwrap_or_else(PoisonError::into_inner).kill().is_ok() && late;
            }
        }
    }

    /// Ends the child, which changes nothing for one that ended by itself.
    fn end(&self) -> Option<ExitStatus> {
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // It ended already, or cannot be ended; both show in its status.
        drop(child.kill());
        child.wait().ok()
    }
}

/// Why a child ended without a word.
fn died(bounds: Bounds, late: bool, status: Option<ExitStatus>, complaint: &str) -> FailureReason {
    use std::os::unix::process::ExitStatusExt as _;
    /// Signal of a process that used up its time on the processor.
    const SIGXCPU: i32 = 24;
    let signal = status.and_then(|status| status.signal());
    if late {
        return failed(&format!(
            "reading it took longer than {} s; it may be built to exhaust the reader",
            bounds.wall_seconds
        ));
    }
    if signal == Some(SIGXCPU) {
        let seconds = bounds.cpu_seconds;
        return failed(&format!(
            "reading it took more than {seconds} s of computing; it may be built to exhaust the reader"
        ));
    }
    if complaint.contains("memory allocation of") || complaint.contains("out of memory") {
        let mib = bounds.memory_mib;
        return failed(&format!(
            "reading it took more than {mib} MiB of memory; it may be built to exhaust the reader"
        ));
    }
    if complaint.contains("overflowed its stack") {
        return failed("its parts are inside each other too deep; it may be built to exhaust the reader");
    }
    failed("its reader broke down on it: it is damaged, or built to do that; save it again with another program")
}

fn failed(cause: &str) -> FailureReason {
    FailureReason::Malformed { cause: cause.to_owned() }
}

/// The child's side: bounds itself, reads a document from standard input, writes what it found to standard output.
pub fn read_document(format: Format, memory_mib: u64, cpu_seconds: u64) -> std::io::Result<()> {
    bound(memory_mib, cpu_seconds)?;
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(format.max_bytes()).read_to_end(&mut bytes)?;
    let mut output = BufWriter::new(std::io::stdout().lock());
    let read = parse::read_binary(format, &bytes, &mut |piece| {
        say(&mut output, &Said::Piece(piece)).map_err(|e| FailureReason::of_io(&e))
    });
    say(&mut output, &read.map_or_else(Said::Failed, |()| Said::End))?;
    output.flush()
}

fn say(output: &mut impl Write, said: &Said) -> std::io::Result<()> {
    serde_json::to_writer(&mut *output, said)?;
    output.write_all(b"\n")
}

fn bound(memory_mib: u64, cpu_seconds: u64) -> std::io::Result<()> {
    // Where the machine runs out of memory all the same, this process goes first.
    drop(std::fs::write("/proc/self/oom_score_adj", "1000"));
    let memory = taken()?.saturating_add(memory_mib << 20);
    rlimit::Resource::AS.set(memory, memory)?;
    // The signal at the soft limit names the cause; at the hard one it could not be told from any other end.
    rlimit::Resource::CPU.set(cpu_seconds, cpu_seconds + 5)?;
    rlimit::Resource::FSIZE.set(0, 0)?;
    rlimit::Resource::CORE.set(0, 0)
}

/// Bytes of memory that the process has mapped already.
fn taken() -> std::io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
    kib.map(|kib| kib << 10)
        .ok_or_else(|| std::io::Error::other("/proc/self/status does not tell the size of the process"))
}
