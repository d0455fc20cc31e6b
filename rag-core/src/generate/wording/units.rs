//! Units of measure: which ones there are, and how much of one is how much of another.

use std::{collections::HashMap, sync::LazyLock};

use super::words::{Shape, Word};

/// What a unit measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dimension {
    Time,
    Months,
    Bytes,
    Bits,
    Length,
    Mass,
    Volume,
    Celsius,
    Fahrenheit,
    Kelvin,
    Share,
    Dollars,
    Euros,
    Pounds,
    Frequency,
    Power,
    Energy,
    Voltage,
    Current,
    Pressure,
    Speed,
    /// How often.
    Times,
    /// A place in a row.
    Place,
    /// Minutes of the day.
    Clock,
    /// Month of the year.
    Month,
    /// Day of the week.
    Weekday,
}

/// A unit. Two of them are the same when they measure the same and are as large.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Unit {
    pub(super) dimension: Dimension,
    /// How many of the smallest unit of its dimension it holds.
    pub(super) size: f64,
    /// The same where a kilo is 1,024; some write one and mean the other.
    pub(super) binary: f64,
}

impl Unit {
    pub(super) fn of(dimension: Dimension, size: f64) -> Self {
        let kilos = size.log10() / 3.0;
        let binary = if dimension == Dimension::Bytes { 1_024_f64.powf(kilos) } else { size };
        Self { dimension, size, binary }
    }
}

/// The words for each unit, in small letters, what it measures, and how much of the smallest it holds.
#[rustfmt::skip]
const UNITS: [(&str, Dimension, f64); 62] = [
    ("ms msec millisecond milliseconds millisekunde millisekunden", Dimension::Time, 0.001),
    ("sec secs second seconds sekunde sekunden", Dimension::Time, 1.0),
    ("min mins minute minutes minuten", Dimension::Time, 60.0),
    ("hr hrs hour hours stunde stunden", Dimension::Time, 3_600.0),
    ("day days tag tage tagen", Dimension::Time, 86_400.0),
    ("week weeks woche wochen", Dimension::Time, 604_800.0),
    ("month months monat monate monaten", Dimension::Months, 1.0),
    ("quarter quarters quartal quartale", Dimension::Months, 3.0),
    ("year years jahr jahre jahren", Dimension::Months, 12.0),
    ("decade decades jahrzehnt jahrzehnte jahrzehnten", Dimension::Months, 120.0),
    ("century centuries jahrhundert jahrhunderte jahrhunderten", Dimension::Months, 1_200.0),
    ("byte bytes", Dimension::Bytes, 1.0),
    ("kb kib kilobyte kilobytes", Dimension::Bytes, 1e3),
    ("mb mib megabyte megabytes", Dimension::Bytes, 1e6),
    ("gb gib gigabyte gigabytes", Dimension::Bytes, 1e9),
    ("tb tib terabyte terabytes", Dimension::Bytes, 1e12),
    ("pb pib petabyte petabytes", Dimension::Bytes, 1e15),
    ("bit bits", Dimension::Bits, 1.0),
    ("kbit kilobit kilobits kbps", Dimension::Bits, 1e3),
    ("mbit megabit megabits mbps", Dimension::Bits, 1e6),
    ("gbit gigabit gigabits gbps", Dimension::Bits, 1e9),
    ("mm millimetre millimetres millimeter millimeters millimetern", Dimension::Length, 0.001),
    ("cm centimetre centimetres centimeter centimeters zentimeter zentimetern", Dimension::Length, 0.01),
    ("metre metres meter meters metern", Dimension::Length, 1.0),
    ("km kilometre kilometres kilometer kilometers kilometern", Dimension::Length, 1_000.0),
    ("inch inches zoll", Dimension::Length, 0.0254),
    ("foot feet ft fuß", Dimension::Length, 0.3048),
    ("mile miles meile meilen", Dimension::Length, 1_609.344),
    ("mg milligram milligrams milligramm", Dimension::Mass, 0.001),
    ("gram grams gramm", Dimension::Mass, 1.0),
    ("kg kilo kilos kilogram kilograms kilogramm", Dimension::Mass, 1_000.0),
    ("tonne tonnes ton tons tonnen", Dimension::Mass, 1_000_000.0),
    ("ml millilitre millilitres milliliter milliliters millilitern", Dimension::Volume, 0.001),
    ("litre litres liter liters litern", Dimension::Volume, 1.0),
    ("celsius", Dimension::Celsius, 1.0),
    ("fahrenheit", Dimension::Fahrenheit, 1.0),
    ("kelvin", Dimension::Kelvin, 1.0),
    ("% percent prozent", Dimension::Share, 1.0),
    ("$ usd dollar dollars", Dimension::Dollars, 1.0),
    ("cent cents", Dimension::Dollars, 0.01),
    ("€ eur euro euros", Dimension::Euros, 1.0),
    ("£ gbp sterling", Dimension::Pounds, 1.0),
    ("hz hertz", Dimension::Frequency, 1.0),
    ("khz kilohertz", Dimension::Frequency, 1e3),
    ("mhz megahertz", Dimension::Frequency, 1e6),
    ("ghz gigahertz", Dimension::Frequency, 1e9),
    ("watt watts", Dimension::Power, 1.0),
    ("kw kilowatt kilowatts", Dimension::Power, 1e3),
    ("mw megawatt megawatts", Dimension::Power, 1e6),
    ("gw gigawatt gigawatts", Dimension::Power, 1e9),
    ("kwh", Dimension::Energy, 1.0),
    ("mwh", Dimension::Energy, 1e3),
    ("volt volts", Dimension::Voltage, 1.0),
    ("kv kilovolt kilovolts", Dimension::Voltage, 1e3),
    ("ampere amperes amp amps", Dimension::Current, 1.0),
    ("pascal", Dimension::Pressure, 1.0),
    ("kpa", Dimension::Pressure, 1e3),
    ("bar", Dimension::Pressure, 1e5),
    ("psi", Dimension::Pressure, 6_894.757),
    ("kmh", Dimension::Speed, 1.0),
    ("mph", Dimension::Speed, 1.609_344),
    ("times mal", Dimension::Times, 1.0),
];

static BY_WORD: LazyLock<HashMap<&str, Unit>> = LazyLock::new(|| {
    let units = UNITS.iter().map(|(words, dimension, size)| (words, Unit::of(*dimension, *size)));
    units.flat_map(|(words, unit)| words.split_whitespace().map(move |word| (word, unit))).collect()
});

/// A unit by a word for it, in small letters.
pub(super) fn named(lower: &str) -> Option<Unit> {
    BY_WORD.get(lower).copied()
}

/// A unit by a sign for it that is no word, and so means one behind a number alone: `5 m`, `7d`.
pub(super) fn sign(word: &Word) -> Option<Unit> {
    let (dimension, size) = match word.text.as_str() {
        "s" => (Dimension::Time, 1.0),
        "h" => (Dimension::Time, 3_600.0),
        "d" => (Dimension::Time, 86_400.0),
        "B" => (Dimension::Bytes, 1.0),
        "m" => (Dimension::Length, 1.0),
        "g" => (Dimension::Mass, 1.0),
        "t" => (Dimension::Mass, 1_000_000.0),
        "l" | "L" => (Dimension::Volume, 1.0),
        "C" => (Dimension::Celsius, 1.0),
        "F" => (Dimension::Fahrenheit, 1.0),
        "K" => (Dimension::Kelvin, 1.0),
        "W" => (Dimension::Power, 1.0),
        "V" => (Dimension::Voltage, 1.0),
        "A" => (Dimension::Current, 1.0),
        "x" => (Dimension::Times, 1.0),
        _ => return named(&word.lower).filter(|_| word.shape != Shape::Number),
    };
    Some(Unit::of(dimension, size))
}
