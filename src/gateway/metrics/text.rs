//! Prometheus' text exposition format, version 0.0.4.
//!
//! Our own: prometheus-client costs 84 KiB of the binary (measured, release), and what is left of it here is escaping.

use std::fmt::Write as _;

/// What a scraper is told that follows.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How the values of a family behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    Gauge,
}

/// The exposition, as it grows.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// A family with its help and type, each told once; the samples follow from what `samples` does.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str, samples: impl FnOnce(&mut Samples<'_>)) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        // Writing to a String does not fail, here and below.
        let _ = writeln!(self.0, "# HELP {name} {}\n# TYPE {name} {kind}", escape(help));
        samples(&mut Samples { name, text: &mut self.0 });
    }

    /// A family of one sample without labels.
    pub fn one(&mut self, name: &'static str, kind: Kind, help: &str, value: f64) {
        self.family(name, kind, help, |samples| samples.add(&[], value));
    }

    /// All of it.
    pub fn finish(self) -> String {
        self.0
    }
}

/// The samples of one family.
#[derive(Debug)]
pub struct Samples<'t> {
    name: &'static str,
    text: &'t mut String,
}

impl Samples<'_> {
    /// A sample with its labels.
    pub fn add(&mut self, labels: &[(&'static str, &str)], value: f64) {
        self.text.push_str(self.name);
        for (i, (label, is)) in labels.iter().enumerate() {
            let before = if i == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{}\"", escape_label(is));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// One sample for each state: 1 for the present one, 0 for the others.
    pub fn states(&mut self, all: &[&str], present: &str) {
        for state in all {
            self.add(&[("state", state)], f64::from(u8::from(*state == present)));
        }
    }
}

/// The escapes of the format in help: `\\` and `\n`.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

/// Those in the value of a label: `\"`, too.
fn escape_label(text: &str) -> String {
    escape(text).replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_one_help_and_one_type_and_its_samples_behind() {
        let mut text = Text::default();
        text.family("gateway_calls_ended_total", Kind::Counter, "Calls.", |samples| {
            samples.add(&[("kind", "local"), ("cause", "cleared")], 3.0);
            samples.add(&[("kind", "inbound"), ("cause", "no-answer")], 0.0);
        });
        text.one("gateway_latency_seconds", Kind::Gauge, "Seconds.", 0.25);
        assert_eq!(
            text.finish(),
            "# HELP gateway_calls_ended_total Calls.\n# TYPE gateway_calls_ended_total counter\n\
             gateway_calls_ended_total{kind=\"local\",cause=\"cleared\"} 3\n\
             gateway_calls_ended_total{kind=\"inbound\",cause=\"no-answer\"} 0\n\
             # HELP gateway_latency_seconds Seconds.\n# TYPE gateway_latency_seconds gauge\ngateway_latency_seconds 0.25\n"
        );
    }

    #[test]
    fn what_would_end_a_label_or_a_line_is_escaped() {
        let mut text = Text::default();
        text.family("a", Kind::Gauge, "back\\slash,\nline, \"quote\"", |samples| {
            samples.add(&[("b", "\\ \" \n ü {}")], -1.5);
        });
        assert_eq!(
            text.finish(),
            "# HELP a back\\\\slash,\\nline, \"quote\"\n# TYPE a gauge\na{b=\"\\\\ \\\" \\n ü {}\"} -1.5\n"
        );
    }

    #[test]
    fn of_the_states_one_is_1() {
        let mut text = Text::default();
        text.family("s", Kind::Gauge, "h", |samples| samples.states(&["up", "down"], "down"));
        assert_eq!(text.finish(), "# HELP s h\n# TYPE s gauge\ns{state=\"up\"} 0\ns{state=\"down\"} 1\n");
    }

    #[test]
    fn large_numbers_are_written_out() {
        let mut text = Text::default();
        text.one("n", Kind::Gauge, "h", 1_793_491_200.0);
        text.one("m", Kind::Gauge, "h", 1e15);
        let text = text.finish();
        assert!(text.contains("\nn 1793491200\n") && text.contains("\nm 1000000000000000\n"), "{text}");
    }
}
