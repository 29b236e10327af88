//! "Did you mean": the known name nearest to one that is not known.

/// The end of an error about an unknown name: the nearest known one, if any is near, and all of them. All have `prefix` before
/// them, which says nothing about how near they are.
pub(crate) fn hint(prefix: &str, name: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|candidate| (distance(name, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 3)
        .min();
    if known.is_empty() {
        return "; there are none".to_owned();
    }
    let all: Vec<_> = known.iter().map(|known| format!("{prefix}{known}")).collect();
    let all = all.join(", ");
    match near {
        Some((_, near)) => format!("; did you mean `{prefix}{near}`? Known: {all}"),
        None => format!("; known: {all}"),
    }
}

/// How many characters to insert, remove or replace to get from one to the other, case aside.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().flat_map(char::to_lowercase).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().flat_map(char::to_lowercase).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_offered_only_when_it_is_near() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("Timeout", "timeout"), 0);
        let known = ["retries", "timeout"];
        assert_eq!(hint("", "timout", &known), "; did you mean `timeout`? Known: retries, timeout");
        assert_eq!(hint("S_", "banana", &known), "; known: S_retries, S_timeout");
        assert_eq!(hint("", "x", &[]), "; there are none");
    }
}
