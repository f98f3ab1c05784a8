//! Answers that were given, so that Twilio's retry of a request gets the same one and is not counted as a second call.

use std::collections::{HashMap, VecDeque};

use hyper::body::Bytes;

/// Most answers kept; the oldest goes first. An answer is about 500 bytes.
pub const MAX_REPLIES: usize = 512;
/// Longest idempotency token that is taken; Twilio's have 36 characters.
const MAX_TOKEN: usize = 128;

/// The key of a request: its idempotency token, and what stands for its content (a signature, a digest); `None` when
/// the token is too long to keep.
pub fn key(token: &str, content: &str) -> Option<String> {
    (token.len() <= MAX_TOKEN).then(|| format!("{token} {content}"))
}

/// By request key, the document that was answered (`None`: 204).
#[derive(Debug, Default)]
pub struct Replies {
    by_key: HashMap<String, Option<Bytes>>,
    oldest_first: VecDeque<String>,
}

impl Replies {
    /// The answer that this request got before.
    pub fn get(&self, key: &str) -> Option<Option<Bytes>> {
        self.by_key.get(key).cloned()
    }

    /// Keeps an answer.
    pub fn insert(&mut self, key: String, document: Option<Bytes>) {
        if self.by_key.insert(key.clone(), document).is_some() {
            return;
        }
        self.oldest_first.push_back(key);
        if self.oldest_first.len() > MAX_REPLIES
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.by_key.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_answer_goes_when_there_are_too_many() {
        let mut replies = Replies::default();
        for i in 0..=MAX_REPLIES {
            replies.insert(i.to_string(), Some(Bytes::from(i.to_string())));
            replies.insert(i.to_string(), Some(Bytes::from(i.to_string())));
        }
        assert_eq!(replies.get("0"), None);
        assert_eq!(replies.get("1"), Some(Some(Bytes::from("1"))));
        assert_eq!(replies.by_key.len(), MAX_REPLIES);
        assert_eq!(replies.oldest_first.len(), MAX_REPLIES);
    }

    #[test]
    fn a_token_too_long_to_keep_has_no_key() {
        assert_eq!(key(&"a".repeat(MAX_TOKEN + 1), "s"), None);
        assert_eq!(key("token", "signature").as_deref(), Some("token signature"));
    }
}
