//! Which machine a program is for: the head of an ELF file (elf(5)).

/// Bytes of the head that are looked at.
pub const HEAD: usize = 20;

/// What a program is for: word size, byte order, processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// `EI_CLASS`: 1 is 32 bit, 2 is 64 bit.
    class: u8,
    /// `EI_DATA`: 1 is little endian, 2 is big endian.
    data: u8,
    /// `e_machine`.
    machine: u16,
}

impl Machine {
    /// Reads the first bytes of a file; `None` when it is no program of Linux.
    pub fn parse(head: &[u8]) -> Option<Machine> {
        let (Some(b"\x7fELF"), Some(&class), Some(&data)) = (head.get(..4), head.get(4), head.get(5)) else {
            return None;
        };
        let machine = [*head.get(18)?, *head.get(19)?];
        let machine = match data {
            1 => u16::from_le_bytes(machine),
            2 => u16::from_be_bytes(machine),
            _ => return None,
        };
        matches!(class, 1 | 2).then_some(Machine { class, data, machine })
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.machine {
            3 => "x86",
            8 => "MIPS",
            40 => "ARM",
            62 => "x86-64",
            183 => "aarch64",
            243 => "RISC-V",
            other => return write!(f, "machine {other}"),
        };
        write!(f, "{name}, {} bit", if self.class == 1 { 32 } else { 64 })?;
        if self.data == 2 { write!(f, ", big endian") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(class: u8, data: u8, machine: [u8; 2]) -> Vec<u8> {
        let mut head = vec![0x7f, b'E', b'L', b'F', class, data, 1, 0];
        head.resize(18, 0);
        head.extend(machine);
        head
    }

    #[test]
    fn the_machines_that_we_build_for_have_names() {
        for (head, name) in [
            (head(2, 1, [62, 0]), "x86-64, 64 bit"),
            (head(2, 1, [183, 0]), "aarch64, 64 bit"),
            (head(1, 1, [40, 0]), "ARM, 32 bit"),
            (head(1, 1, [3, 0]), "x86, 32 bit"),
            (head(1, 2, [0, 8]), "MIPS, 32 bit, big endian"),
        ] {
            assert_eq!(Machine::parse(&head).unwrap().to_string(), name);
        }
    }

    #[test]
    fn this_program_is_for_one_machine_only() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let own = Machine::parse(&own[..HEAD]).unwrap();
        assert_eq!(own.class, if cfg!(target_pointer_width = "32") { 1 } else { 2 });
        assert_ne!(own, Machine::parse(&head(1, 2, [0, 8])).unwrap());
    }

    #[test]
    fn what_is_no_program_or_cut_is_none() {
        let whole = head(2, 1, [62, 0]);
        for end in 0..whole.len() {
            assert_eq!(Machine::parse(&whole[..end]), None);
        }
        for other in [&b"#!/bin/sh\nexit 1\n     "[..], b"\x1f\x8b\x08\0                ", &head(3, 1, [62, 0])] {
            assert_eq!(Machine::parse(other), None);
        }
    }
}
