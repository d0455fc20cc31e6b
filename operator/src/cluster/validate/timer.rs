//! When something is due, again and again: a line of crontab in a time zone.
//!
//! A time that the clock jumps over in spring comes when it has jumped, and one that it shows twice in autumn comes once, the
//! first time; a line that comes several times an hour comes in both hours. So no day is without its snapshot, and none has two.

use std::fmt;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{RoundMode, Span, Timestamp, TimestampRound, ToSpan, Unit, Zoned};

/// Every line that anybody means comes within that time: the 29th of February is eight years apart at the most.
const COMES_WITHIN_YEARS: i64 = 8;

/// A line of crontab in a time zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Timer {
    line: String,
    zone_name: String,
    cron: Cron,
    zone: TimeZone,
}

/// Why there is no such timer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTimer {
    /// The line cannot be read.
    #[error("\"{line}\" is no line of crontab: {why}")]
    Line {
        /// The line.
        line: String,
        /// What is wrong with it.
        why: String,
    },
    /// The line names no day that there is.
    #[error("\"{line}\" names no time in the next eight years")]
    Never {
        /// The line.
        line: String,
    },
    /// Nobody knows the time zone.
    #[error("\"{name}\" is no time zone that the operator knows")]
    Zone {
        /// Its name.
        name: String,
    },
}

impl Timer {
    /// Reads a line; `now` is where the search for its first time begins.
    pub fn parse(line: &str, time_zone: Option<&str>, now: Timestamp) -> Result<Self, InvalidTimer> {
        let zone = match time_zone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|_| InvalidTimer::Zone { name: name.to_owned() })?,
        };
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron =
            parser.parse(line).map_err(|error| InvalidTimer::Line { line: line.to_owned(), why: error.to_string() })?;
        let zone_name = time_zone.unwrap_or("UTC").to_owned();
        let timer = Self { line: line.to_owned(), zone_name, cron, zone };
        if timer.comes(now) { Ok(timer) } else { Err(InvalidTimer::Never { line: line.to_owned() }) }
    }

    /// The first time after `time`.
    pub fn after(&self, time: Timestamp) -> Option<Timestamp> {
        self.cron.find_next_occurrence(&self.local(time), false).ok().map(|found| found.timestamp())
    }

    /// The last time that is not after `time`.
    pub fn newest(&self, time: Timestamp) -> Option<Timestamp> {
        self.cron.find_previous_occurrence(&self.local(time), true).ok().map(|found| found.timestamp())
    }

    /// The last time before `time`.
    pub fn before(&self, time: Timestamp) -> Option<Timestamp> {
        self.newest(time.checked_sub(1.nanosecond()).ok()?)
    }

    /// A time as clocks there show it, in whole seconds: lines know no parts of them.
    fn local(&self, time: Timestamp) -> Zoned {
        let whole = time.round(TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Floor));
        whole.unwrap_or(time).to_zoned(self.zone.clone())
    }

    /// Whether a day of the coming years is one of the line's. The search for a time would go on for thousands of years.
    fn comes(&self, now: Timestamp) -> bool {
        let today = self.local(now).date();
        let last = today.saturating_add(Span::new().years(COMES_WITHIN_YEARS));
        let pattern = &self.cron.pattern;
        today.series(1.day()).take_while(|day| *day <= last).any(|day| {
            let (year, month) = (i32::from(day.year()), day.month().unsigned_abs());
            let weekday = weekday(day.weekday());
            pattern.month_match(month.into()).unwrap_or(false)
                && pattern.day_match(year, month.into(), day.day().unsigned_abs().into(), weekday).unwrap_or(false)
        })
    }
}

/// The line with its time zone, as a status shows it.
impl fmt::Display for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.line, self.zone_name)
    }
}

fn weekday(day: jiff::civil::Weekday) -> croner::time::Weekday {
    use croner::time::Weekday;
    match day {
        jiff::civil::Weekday::Sunday => Weekday::Sunday,
        jiff::civil::Weekday::Monday => Weekday::Monday,
        jiff::civil::Weekday::Tuesday => Weekday::Tuesday,
        jiff::civil::Weekday::Wednesday => Weekday::Wednesday,
        jiff::civil::Weekday::Thursday => Weekday::Thursday,
        jiff::civil::Weekday::Friday => Weekday::Friday,
        jiff::civil::Weekday::Saturday => Weekday::Saturday,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn timer(line: &str, zone: &str) -> Timer {
        Timer::parse(line, Some(zone), at("2026-01-01T00:00:00Z")).unwrap()
    }

    #[test]
    fn what_is_no_line_no_zone_or_never_comes_is_refused_with_what_was_found() {
        let refused = |line: &str, zone: Option<&str>| {
            Timer::parse(line, zone, at("2026-01-01T00:00:00Z")).unwrap_err().to_string()
        };
        assert!(refused("0 25 * * *", None).starts_with("\"0 25 * * *\" is no line of crontab: "));
        // Neither seconds nor years: what is due twice a minute is no snapshot.
        for line in ["0 0 2 * * *", "0 0 2 * * * 2027", "tomorrow", "", "* * * *"] {
            assert!(refused(line, None).contains("is no line of crontab"), "{line}");
        }
        assert_eq!(refused("0 2 30 2 *", None), "\"0 2 30 2 *\" names no time in the next eight years");
        assert_eq!(
            refused("0 2 * * *", Some("Europe/Bonn")),
            "\"Europe/Bonn\" is no time zone that the operator knows"
        );
        for line in ["0 2 29 2 *", "@daily", "*/15 8-18 * * MON-FRI", "0 4 1 * *", "0 3 L * *"] {
            Timer::parse(line, None, at("2026-01-01T00:00:00Z")).unwrap();
        }
    }

    #[test]
    fn a_night_without_the_hour_has_its_time_and_a_night_with_the_hour_twice_has_one() {
        // Berlin jumps from 02:00 to 03:00 on 29 March and shows 02:00 to 03:00 twice on 25 October 2026.
        let berlin = timer("30 2 * * *", "Europe/Berlin");
        assert_eq!(berlin.after(at("2026-03-28T12:00:00Z")), Some(at("2026-03-29T01:00:00Z")));
        assert_eq!(berlin.after(at("2026-03-29T01:00:00Z")), Some(at("2026-03-30T00:30:00Z")));
        assert_eq!(berlin.after(at("2026-10-24T12:00:00Z")), Some(at("2026-10-25T00:30:00Z")));
        assert_eq!(berlin.after(at("2026-10-25T00:30:00Z")), Some(at("2026-10-26T01:30:00Z")));
        // New York: 8 March, and 1 November 2026.
        let new_york = timer("30 2 * * *", "America/New_York");
        assert_eq!(new_york.after(at("2026-03-07T12:00:00Z")), Some(at("2026-03-08T07:00:00Z")));
        let twice = timer("30 1 * * *", "America/New_York");
        assert_eq!(twice.after(at("2026-10-31T12:00:00Z")), Some(at("2026-11-01T05:30:00Z")));
        assert_eq!(twice.after(at("2026-11-01T05:30:00Z")), Some(at("2026-11-02T06:30:00Z")));
        // Lord Howe moves by half an hour: 4 October, and 5 April 2026.
        let howe = timer("15 2 * * *", "Australia/Lord_Howe");
        assert_eq!(howe.after(at("2026-10-03T00:00:00Z")), Some(at("2026-10-03T15:30:00Z")));
        let howe = timer("45 1 * * *", "Australia/Lord_Howe");
        assert_eq!(howe.after(at("2026-04-04T12:00:00Z")), Some(at("2026-04-04T14:45:00Z")));
        assert_eq!(howe.after(at("2026-04-04T14:45:00Z")), Some(at("2026-04-05T15:15:00Z")));
    }

    #[test]
    fn what_comes_several_times_an_hour_comes_in_both_hours_of_the_night() {
        let often = timer("*/30 * * * *", "Europe/Berlin");
        let mut found = vec![at("2026-10-25T00:00:00Z")];
        while found.len() < 5 {
            found.push(often.after(found[found.len() - 1]).unwrap());
        }
        let minutes: Vec<i64> = found.windows(2).map(|two| (two[1] - two[0]).get_seconds() / 60).collect();
        assert_eq!(minutes, [30; 4]);
    }

    const LINES: [&str; 7] =
        ["30 2 * * *", "15 2 * * *", "45 1 * * 0", "0 3 1 * *", "*/20 * * * *", "0 */6 * * *", "30 1,2 * * *"];
    const ZONES: [&str; 4] = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"];

    proptest! {
        /// In both years, every change of a clock is near some of these moments.
        #[test]
        fn going_back_and_going_on_meet_at_the_same_times(
            line in 0..LINES.len(), zone in 0..ZONES.len(), second in 1_767_225_600_i64..1_830_297_600,
        ) {
            let (timer, time) = (timer(LINES[line], ZONES[zone]), Timestamp::from_second(second).unwrap());
            let next = timer.after(time).unwrap();
            prop_assert!(next > time);
            prop_assert_eq!(timer.newest(next), Some(next));
            let newest = timer.newest(time).unwrap();
            prop_assert!(newest <= time);
            prop_assert_eq!(timer.after(newest), Some(next), "after {}", newest);
            prop_assert_eq!(timer.before(next), Some(newest));
        }
    }
}
