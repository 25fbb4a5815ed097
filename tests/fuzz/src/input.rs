//! Taking an input apart.

/// Splits at the first occurrence of `separator`; all of it and nothing where there is none.
pub(crate) fn split<'a>(data: &'a [u8], separator: &[u8]) -> (&'a [u8], &'a [u8]) {
    let place = data.windows(separator.len()).position(|window| window == separator);
    place.map_or((data, &[]), |place| (&data[..place], &data[place + separator.len()..]))
}

/// The first line, and what stands behind it.
pub(crate) fn line(data: &[u8]) -> (String, &[u8]) {
    let (line, rest) = split(data, b"\n");
    (text(line), rest)
}

/// The bytes as a text; what is not UTF-8 is replaced.
pub(crate) fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

/// A number that depends on all bytes (FNV-1a): for what is too expensive to be done with every input.
pub(crate) fn hash(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
