//! Words and their counts: what a worker makes of a line, and how it tells the sink.
//!
//! A word is a run of letters, digits and bytes beyond ASCII, without regard to the case of ASCII
//! letters. Lines never share a word, so a text may be counted line by line or as a whole.

use std::collections::HashMap;

/// How often each word was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words(HashMap<Box<[u8]>, u64>);

impl Words {
    /// Counts the words of `text`.
    pub(super) fn count(&mut self, text: &[u8]) {
        let mut lower = Vec::new();
        for word in text
            .split(|byte| !is_letter(*byte))
            .filter(|word| !word.is_empty())
        {
            if word.iter().any(u8::is_ascii_uppercase) {
                lower.clear();
                lower.extend(word.iter().map(u8::to_ascii_lowercase));
                self.add(&lower, 1);
            } else {
                self.add(word, 1);
            }
        }
    }

    fn add(&mut self, word: &[u8], times: u64) {
        // Looked up first: nearly always it is there, and then nothing is allocated.
        match self.0.get_mut(word) {
            Some(count) => *count += times,
            None => _ = self.0.insert(word.into(), times),
        }
    }

    /// All words, repetitions included.
    pub(super) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Different words.
    pub(super) fn different(&self) -> usize {
        self.0.len()
    }

    /// The `n` commonest words, the commonest first; equals in the order of the alphabet.
    pub(super) fn commonest(&self, n: usize) -> Vec<(&[u8], u64)> {
        let mut all: Vec<(&[u8], u64)> = self
            .0
            .iter()
            .map(|(word, count)| (&**word, *count))
            .collect();
        all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        all.truncate(n);
        all
    }

    /// Appends all counts to `out` and forgets them: for each word its count (8 bytes), its length
    /// (4 bytes) and its bytes, numbers in network order.
    pub(super) fn drain_into(&mut self, out: &mut Vec<u8>) {
        for (word, count) in self.0.drain() {
            out.extend_from_slice(&count.to_be_bytes());
            out.extend_from_slice(&(word.len() as u32).to_be_bytes());
            out.extend_from_slice(&word);
        }
    }

    /// Adds counts as [`drain_into`](Self::drain_into) wrote them; `None` if they are cut short.
    pub(super) fn merge(&mut self, mut counts: &[u8]) -> Option<()> {
        while !counts.is_empty() {
            let (count, rest) = counts.split_first_chunk()?;
            let (len, rest) = rest.split_first_chunk()?;
            let (word, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
            self.add(word, u64::from_be_bytes(*count));
            counts = rest;
        }
        Some(())
    }
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(text: &str) -> Words {
        let mut words = Words::default();
        words.count(text.as_bytes());
        words
    }

    #[test]
    fn words_are_runs_of_letters_in_any_case() {
        let words = counted("The cat -- the CAT's naïve 2nd cat.");
        assert_eq!(words.commonest(2), [(&b"cat"[..], 3), (b"the", 2)]);
        assert_eq!(words.total(), 8);
        assert_eq!(words.different(), 5);
        assert_eq!(counted(" \t.,;").total(), 0);
    }

    #[test]
    fn counts_that_are_cut_short_are_refused() {
        let mut bytes = Vec::new();
        counted("a bb").drain_into(&mut bytes);
        for len in 1..bytes.len() {
            let whole_entry = len == 13 || len == 14;
            assert!(
                whole_entry || Words::default().merge(&bytes[..len]).is_none(),
                "{len}"
            );
        }
    }

    proptest! {
        #[test]
        fn counting_in_parts_gives_the_same(lines in proptest::collection::vec("[a-cA-C ,]{0,12}", 0..20), batch in 1usize..5) {
            let mut sum = Words::default();
            for lines in lines.chunks(batch) {
                let mut part = Words::default();
                for line in lines {
                    part.count(line.as_bytes());
                }
                let mut bytes = Vec::new();
                part.drain_into(&mut bytes);
                prop_assert_eq!(part.different(), 0);
                sum.merge(&bytes).unwrap();
            }
            prop_assert_eq!(sum, counted(&lines.join("\n")));
        }
    }
}
