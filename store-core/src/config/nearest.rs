//! "Did you mean": the known name nearest to one that is not known.

/// The end of an error about an unknown name: the nearest known one, if any is near, and all of them.
pub(crate) fn hint(name: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|candidate| (distance(name, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 5)
        .min();
    let all = match known {
        [] => "there are none".to_owned(),
        _ => format!("known: {}", known.join(", ")),
    };
    match near {
        Some((_, near)) => {
            let mut all = all;
            all[..1].make_ascii_uppercase();
            format!("; did you mean `{near}`? {all}")
        }
        None => format!("; {all}"),
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
        assert_eq!(
            hint("timout", &known),
            "; did you mean `timeout`? Known: retries, timeout"
        );
        assert_eq!(hint("banana", &known), "; known: retries, timeout");
        assert_eq!(hint("x", &[]), "; there are none");
    }
}
