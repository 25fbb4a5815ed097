//! Writes the seeds and the words of all targets to where libFuzzer looks for them: `fill-corpus FOLDER`, which is `fuzz/`.

use std::fs;
use std::path::Path;

fn main() {
    let folder = std::env::args().nth(1).expect("fill-corpus FOLDER");
    let folder = Path::new(&folder);
    for target in fuzzing::TARGETS {
        let corpus = folder.join("corpus").join(target.name);
        fs::create_dir_all(&corpus).expect("a folder");
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            fs::write(corpus.join(format!("seed-{number:03}")), seed).expect("a file");
        }
        let words: String = target.words.iter().map(|word| format!("\"{}\"\n", quoted(word))).collect();
        let dictionaries = folder.join("dictionaries");
        fs::create_dir_all(&dictionaries).expect("a folder");
        fs::write(dictionaries.join(target.name), words).expect("a file");
    }
}

/// As libFuzzer reads it.
fn quoted(word: &str) -> String {
    let quote = |byte: u8| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02X}"),
    };
    word.bytes().map(quote).collect()
}
