//! Stops a thread from outside: a signal whose handler sleeps. (`SIGSTOP` would stop the process.)

use std::io;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// What the handler reads and writes: words alone, since it may interrupt anything.
static SLEEP_NS: AtomicU64 = AtomicU64::new(0);
static BEGUN: AtomicU64 = AtomicU64::new(0);
static ENDED: AtomicU64 = AtomicU64::new(0);
static BEGUN_NS: AtomicU64 = AtomicU64::new(0);
static ENDED_NS: AtomicU64 = AtomicU64::new(0);
/// 1 if the thread was caught in its own code, 0 if inside a system call.
static IN_CODE: AtomicU64 = AtomicU64::new(0);
/// Not 0 if a thread that is caught inside a system call is to be let go at once.
static CODE_ONLY: AtomicU64 = AtomicU64::new(0);
static LET_GO: AtomicU64 = AtomicU64::new(0);

/// The signal must be handled in this time.
const DELIVERY_MAX: Duration = Duration::from_secs(5);
/// How often a thread is to be caught in its code, before it may be caught asleep.
const TRIES: u32 = 100;
/// Between two of them.
const TRY_PERIOD: Duration = Duration::from_micros(30);
/// Between two looks whether the handler has begun or ended.
const POLL: Duration = Duration::from_micros(100);

/// A stall that is over.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    /// When the handler began, on the clock of [`now_ns`].
    pub begun_ns: u64,
    /// When it ended.
    pub ended_ns: u64,
    /// Whether the thread was caught in its own code, and not asleep in the system.
    pub in_code: bool,
}

/// Nanoseconds on the system's monotonic clock.
pub fn now_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists on every Linux, and `now` is a place for its time. It is one of the
    // functions that a signal handler may call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Makes `SIGUSR1` stop the thread that gets it for this long. One test or program of a process may use
/// it.
///
/// # Errors
///
/// What the system answers.
pub fn install(sleep: Duration) -> io::Result<()> {
    SLEEP_NS.store(sleep.as_nanos() as u64, SeqCst);
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = handle;
    // SAFETY: a `sigaction` of zeros is one with no flags and an empty mask.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handler as usize;
    // Interrupted system calls are begun again: the thread does not notice.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: the action is initialised and lives through the call; its handler is sound to run at any
    // instruction, as said there.
    let result = unsafe { libc::sigaction(libc::SIGUSR1, &action, ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sleeps in the middle of whatever the thread was doing.
///
/// Sound at any instruction: it allocates and locks nothing, touches atomics of its own alone, calls
/// `clock_gettime` and `clock_nanosleep`, which POSIX and Linux name as safe in handlers, and leaves
/// `errno` as it was.
extern "C" fn handle(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: every thread has an `errno`, and its place is valid for as long as the thread runs.
    let errno = unsafe { *libc::__errno_location() };
    let in_code = was_in_code(context);
    if !in_code && CODE_ONLY.load(SeqCst) != 0 {
        LET_GO.fetch_add(1, SeqCst);
        return;
    }
    IN_CODE.store(u64::from(in_code), SeqCst);
    let begun_ns = now_ns();
    BEGUN_NS.store(begun_ns, SeqCst);
    BEGUN.fetch_add(1, SeqCst);
    let until_ns = begun_ns + SLEEP_NS.load(SeqCst);
    let until = libc::timespec {
        tv_sec: (until_ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (until_ns % 1_000_000_000) as _,
    };
    // SAFETY: the time is valid; an absolute sleep has no remainder to write. If another signal ends it
    // early it is begun again.
    let sleep = || unsafe {
        libc::clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, &until, ptr::null_mut())
    };
    while sleep() == libc::EINTR {}
    ENDED_NS.store(now_ns(), SeqCst);
    ENDED.fetch_add(1, SeqCst);
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Whether the interrupted thread was not inside a system call.
#[cfg(target_arch = "x86_64")]
fn was_in_code(context: *mut libc::c_void) -> bool {
    const SYSCALL: [u8; 2] = [0x0f, 0x05];
    // SAFETY: with `SA_SIGINFO` the system hands over a `ucontext_t`, which lives as long as the handler.
    let at = unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let next = at[libc::REG_RIP as usize] as usize;
    // SAFETY: the two bytes before the instruction that comes next are code of a mapped function: none
    // stands at the very start of a mapping, where the headers of the file or of the vDSO are.
    let before = unsafe { ptr::read((next - SYSCALL.len()) as *const [u8; 2]) };
    // A system call that is begun again has the instruction itself next.
    // SAFETY: as above; it is the code that the thread goes on with.
    let itself = unsafe { ptr::read(next as *const [u8; 2]) };
    before != SYSCALL && itself != SYSCALL
}

/// Elsewhere it is not known.
#[cfg(not(target_arch = "x86_64"))]
fn was_in_code(_: *mut libc::c_void) -> bool {
    false
}

/// Stops a thread of this process, and waits until it goes on. `awake` asks for a moment at which it is
/// not inside a system call, if one comes soon. `meanwhile` is called every now and then.
///
/// # Errors
///
/// There is no such thread, it does not get the signal, or `meanwhile` says to give up.
pub fn stall(
    thread: i32,
    awake: bool,
    mut meanwhile: impl FnMut() -> Result<(), String>,
) -> Result<Stall, String> {
    let ended = ENDED.load(SeqCst);
    let tries = if awake { TRIES } else { 0 };
    CODE_ONLY.store(1, SeqCst);
    let caught = (0..tries).try_fold(false, |caught, _| match caught {
        true => Ok(true),
        false => catch(thread),
    })?;
    CODE_ONLY.store(0, SeqCst);
    if !caught {
        catch(thread)?;
    }
    while ENDED.load(SeqCst) == ended {
        meanwhile()?;
        // Most of it at once, so that this thread does not disturb what it measures.
        let until_ns = BEGUN_NS.load(SeqCst) + SLEEP_NS.load(SeqCst);
        let left = Duration::from_nanos(until_ns.saturating_sub(now_ns()));
        thread::sleep(left.clamp(POLL, DELIVERY_MAX / 10));
    }
    Ok(Stall {
        begun_ns: BEGUN_NS.load(SeqCst),
        ended_ns: ENDED_NS.load(SeqCst),
        in_code: IN_CODE.load(SeqCst) != 0,
    })
}

/// Sends the signal and waits until its handler has begun. Whether it stops the thread.
fn catch(thread: i32) -> Result<bool, String> {
    let (begun, let_go) = (BEGUN.load(SeqCst), LET_GO.load(SeqCst));
    // SAFETY: it sends a signal that has a handler to a thread of this process, or fails.
    let sent = unsafe {
        libc::syscall(libc::SYS_tgkill, std::process::id() as libc::pid_t, thread, libc::SIGUSR1)
    };
    if sent != 0 {
        return Err(format!("thread {thread}: {}", io::Error::last_os_error()));
    }
    let sent_ns = now_ns();
    loop {
        if BEGUN.load(SeqCst) != begun {
            return Ok(true);
        }
        if LET_GO.load(SeqCst) != let_go {
            thread::sleep(TRY_PERIOD);
            return Ok(false);
        }
        if now_ns() - sent_ns > DELIVERY_MAX.as_nanos() as u64 {
            return Err(format!("thread {thread} does not get its signal"));
        }
        thread::sleep(TRY_PERIOD);
    }
}
