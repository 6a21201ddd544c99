use super::*;

/// An ELF header and one program header of the given type.
fn elf(kind: u8) -> Vec<u8> {
    let mut bytes = vec![0; 64 + 56];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[32] = 64;
    bytes[54] = 56;
    bytes[56] = 1;
    bytes[64] = kind;
    bytes
}

#[test]
fn a_program_with_an_interpreter_is_not_static() {
    assert_eq!(interpreter_is_absent(&elf(1)), Some(true));
    assert_eq!(interpreter_is_absent(&elf(3)), Some(false));
}

#[test]
fn what_is_no_whole_program_is_neither() {
    assert_eq!(interpreter_is_absent(b"#!/bin/sh"), None);
    assert_eq!(interpreter_is_absent(&elf(1)[..80]), Some(true));
    assert_eq!(interpreter_is_absent(&elf(1)[..60]), None);
}
