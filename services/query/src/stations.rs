//! What a traveller's words for a station mean, and what they may have meant.

use timetable::{StationId, Timetable};

use crate::error::Error;

/// The longest text looked up, in characters: no station's spelling is longer.
pub const TEXT_CHARS_MAX: usize = 60;

/// How many stations an unknown name is answered with.
const SUGGESTIONS_MAX: usize = 5;

/// The stations that a field's text means: one station, or all of a city. Never empty.
///
/// # Errors
/// A text that no station is called by, with the names closest to it.
pub fn resolve(timetable: &Timetable, field: &'static str, text: &str) -> Result<Vec<StationId>, Error> {
    let readable = (1..=TEXT_CHARS_MAX).contains(&text.chars().count());
    let found = if readable { timetable.find_stations(text) } else { Vec::new() };
    if !found.is_empty() {
        return Ok(found);
    }
    let suggestions = if readable { nearest(timetable, text) } else { Vec::new() };
    Err(Error::UnknownStation { field, text: text.chars().take(TEXT_CHARS_MAX).collect(), suggestions })
}

/// Up to `limit` stations for a text that may be only the beginning of a name: exact meanings first.
pub fn find(timetable: &Timetable, text: &str, limit: usize) -> Vec<StationId> {
    let mut found = timetable.find_stations(text);
    // A city is called as its main station: that one was most likely meant.
    if let Some(exact) = found.iter().position(|station| &*timetable.station(*station).name == text.trim()) {
        found[..=exact].rotate_right(1);
    }
    for station in timetable.suggest_stations(text, limit) {
        if !found.contains(&station) {
            found.push(station);
        }
    }
    found.truncate(limit);
    found
}

/// The names of the stations a text comes closest to: those that begin with it, else those with the fewest letters wrong.
fn nearest(timetable: &Timetable, text: &str) -> Vec<String> {
    let name = |id: &StationId| timetable.station(*id).name.to_string();
    let beginning = timetable.suggest_stations(text, SUGGESTIONS_MAX);
    if !beginning.is_empty() {
        return beginning.iter().map(name).collect();
    }
    let typed: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
    // A third of the letters may be wrong, and of a short Chinese name one character.
    let wrong_max = (typed.len() / 3).max(1);
    let mut close: Vec<(usize, &str)> = timetable
        .stations()
        .iter()
        .filter_map(|station| {
            let by_name = distance(&typed, &station.name);
            let by_spelling = distance(&typed, &station.pinyin);
            let wrong = by_name.min(by_spelling);
            (wrong <= wrong_max && wrong < typed.len()).then_some((wrong, &*station.name))
        })
        .collect();
    close.sort_unstable();
    close.truncate(SUGGESTIONS_MAX);
    close.into_iter().map(|(_, name)| name.to_owned()).collect()
}

/// Levenshtein's distance: how many letters must be put in, taken out or replaced.
fn distance(typed: &[char], name: &str) -> usize {
    let mut row: Vec<usize> = (0..=typed.len()).collect();
    for (above, letter) in name.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (column, other) in typed.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[typed.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_station_of_that_very_name_comes_first() {
        let timetable = Timetable::sample();
        let names = |text: &str| {
            let found = find(&timetable, text, 20);
            found.iter().map(|id| timetable.station(*id).name.to_string()).collect::<Vec<_>>()
        };
        let found = names("广州");
        assert_eq!(found[0], "广州");
        assert!(found.contains(&"广州北".to_owned()) && found.contains(&"广州南".to_owned()), "{found:?}");
        assert_eq!(names("广州北")[0], "广州北");
    }

    #[test]
    fn distances_are_the_textbook_ones() {
        for (typed, name, expected) in [
            ("kitten", "sitting", 3),
            ("beijing", "beijing", 0),
            ("", "abc", 3),
            ("上海", "上海虹桥", 2),
            ("abc", "", 3),
        ] {
            let typed: Vec<char> = typed.chars().collect();
            assert_eq!(distance(&typed, name), expected, "{name}");
        }
    }
}
