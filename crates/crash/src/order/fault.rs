//! How a try is answered: a part of them is failed, in every way a receiver can fail. Drawn from the seed.

use std::time::Duration;

use fastrand::Rng;

/// What the receiver does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// 200, after this time.
    Accept(Duration),
    /// This status, after this time.
    Status(u16, Duration),
    /// The connection is closed after this time, without an answer.
    Close(Duration),
    /// 200, and the connection is closed in the middle of the body.
    Truncate,
    /// Nothing, until the server hangs up.
    Hang,
}

impl Conduct {
    /// Draws one; so many of a hundred are failures.
    pub(crate) fn draw(rng: &mut Rng, failures: u8) -> Self {
        let mut ms = |range: std::ops::Range<u64>| Duration::from_millis(rng.u64(range));
        let (short, long) = (ms(1..30), ms(20..150));
        if rng.u8(0..100) >= failures {
            return Conduct::Accept(if rng.u8(0..8) == 0 { short } else { Duration::ZERO });
        }
        match rng.u16(0..1_000) {
            0..600 => Conduct::Status(500, Duration::ZERO),
            600..650 => Conduct::Status(404, Duration::ZERO),
            650..690 => Conduct::Status(500, short),
            690..830 => Conduct::Close(Duration::ZERO),
            830..910 => Conduct::Close(long),
            910..997 => Conduct::Truncate,
            _ => Conduct::Hang,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_of_a_hundred_fail_and_in_every_way() {
        let mut rng = Rng::with_seed(1);
        let drawn: Vec<_> = (0..50_000).map(|_| Conduct::draw(&mut rng, 20)).collect();
        let share = |is: fn(&Conduct) -> bool| drawn.iter().filter(|conduct| is(conduct)).count();
        let accepted = share(|conduct| matches!(conduct, Conduct::Accept(_)));
        assert!((39_500..40_500).contains(&accepted), "{accepted}");
        assert!(share(|conduct| matches!(conduct, Conduct::Status(500, _))) > 5_000);
        assert!(share(|conduct| matches!(conduct, Conduct::Close(_))) > 1_500);
        assert!(share(|conduct| matches!(conduct, Conduct::Truncate)) > 500);
        assert!((5..100).contains(&share(|conduct| *conduct == Conduct::Hang)));
    }

    #[test]
    fn without_failures_all_is_accepted() {
        let mut rng = Rng::with_seed(1);
        assert!((0..1_000).all(|_| matches!(Conduct::draw(&mut rng, 0), Conduct::Accept(_))));
    }
}
