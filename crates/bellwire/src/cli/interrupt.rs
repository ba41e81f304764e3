//! Ctrl-C for commands that wait: a pause that an interruption cuts short.
//!
//! Called by commands that poll (`send --wait`, `replay`, `task get --watch`). Commands that only read a stream leave the
//! signal alone: the process ends, and the shell sees 130.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    time::Duration,
};

/// Waits, and tells whether the user pressed Ctrl-C meanwhile.
pub struct Interrupt {
    pause: Box<dyn FnMut(Duration) -> bool>,
    last: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes over Ctrl-C for the rest of the process.
    ///
    /// # Errors
    /// When the signal cannot be listened to.
    pub fn listen() -> io::Result<Self> {
        let (pressed, presses) = mpsc::channel();
        let last = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let is_last = last.clone();
        std::thread::Builder::new().name("interrupt".into()).spawn(move || {
            runtime.block_on(async {
                while tokio::signal::ctrl_c().await.is_ok() {
                    if is_last.load(Ordering::Relaxed) || pressed.send(()).is_err() {
                        std::process::exit(130);
                    }
                }
            });
        })?;
        let pause = Box::new(move |span| match presses.recv_timeout(span) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(span);
                false
            }
        });
        Ok(Self { pause, last })
    }

    /// Pauses that take no time and are interrupted as the script says; after its end, always.
    #[cfg(test)]
    pub fn scripted(script: &[bool]) -> Self {
        let mut script = script.to_vec();
        script.reverse();
        Self {
            pause: Box::new(move |_| script.pop().unwrap_or(true)),
            last: Arc::default(),
        }
    }

    /// Waits for `span`; true, at once, when the user presses Ctrl-C.
    pub fn within(&mut self, span: Duration) -> bool {
        (self.pause)(span)
    }

    /// From now on Ctrl-C ends the process: the user is being asked something and need not answer.
    pub fn next_is_last(&self) {
        self.last.store(true, Ordering::Relaxed);
    }
}
