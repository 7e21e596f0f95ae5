//! Numbers with a checksum or a range: payment cards, bank accounts, social security numbers.

use super::{Hit, PiiKind, ends_word};

/// Beginnings of card numbers with the lengths that they have (ISO/IEC 7812 and the issuers' published ranges).
const ISSUERS: &[(u32, u32, std::ops::RangeInclusive<usize>)] = &[
    // Visa.
    (4, 4, 13..=19),
    // Mastercard.
    (51, 55, 16..=16),
    (2221, 2720, 16..=16),
    // American Express.
    (34, 34, 15..=15),
    (37, 37, 15..=15),
    // Diners Club.
    (300, 305, 14..=19),
    (3095, 3095, 14..=19),
    (36, 36, 14..=19),
    (38, 39, 14..=19),
    // Discover.
    (6011, 6011, 16..=19),
    (644, 649, 16..=19),
    (65, 65, 16..=19),
    // JCB.
    (3528, 3589, 16..=19),
    // UnionPay.
    (62, 62, 16..=19),
    // Mir.
    (2200, 2204, 16..=19),
    // Maestro.
    (5018, 5018, 13..=19),
    (5020, 5020, 13..=19),
    (5038, 5038, 13..=19),
    (5893, 5893, 13..=19),
    (6304, 6304, 13..=19),
    (6759, 6763, 13..=19),
];

/// A number goes on in a way in which no card or social security number does: `-1`, `.1`.
fn goes_on(bytes: &[u8], at: usize) -> bool {
    matches!(bytes.get(at), Some(b'-' | b'.')) && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
}

/// The same before it.
fn came_from(bytes: &[u8], at: usize) -> bool {
    matches!(bytes[..at], [.., digit, b'-' | b'.'] if digit.is_ascii_digit())
}

/// A card's number: in one piece, or in the groups in which cards show it.
pub(super) fn card(bytes: &[u8], at: usize) -> Option<Hit> {
    if came_from(bytes, at) {
        return None;
    }
    let (mut digits, mut groups, mut end) = (Vec::with_capacity(19), Vec::with_capacity(5), at);
    let mut best = None;
    loop {
        let length = bytes[end..].iter().take(20).take_while(|byte| byte.is_ascii_digit()).count();
        digits.extend(bytes[end..end + length].iter().map(|digit| u32::from(digit - b'0')));
        groups.push(length);
        end += length;
        if digits.len() > 19 || !ends_word(bytes, end) {
            break;
        }
        if shown_so(&groups) && is_card(&digits) && !goes_on(bytes, end) {
            best = Some(end);
        }
        let separator = bytes.get(end).copied().filter(|byte| matches!(byte, b' ' | b'-'));
        let same = groups.len() == 1 || separator == Some(bytes[end - length - 1]);
        if separator.is_none() || !same || !bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
            break;
        }
        end += 1;
    }
    best.map(|end| Hit { kind: PiiKind::Card, start: at, end })
}

/// The groups of digits in which card numbers are written.
fn shown_so(groups: &[usize]) -> bool {
    match groups {
        [13..=19] | [4, 6, 4 | 5] | [4, 4, 5] | [6, 13] => true,
        [4, 4, 4, last] | [4, 4, 4, 4, last] => (1..=4).contains(last),
        _ => false,
    }
}

/// Whether an issuer has such numbers and the check digit is right (Luhn).
pub(super) fn is_card(digits: &[u32]) -> bool {
    let begins = |(first, last, lengths): &(u32, u32, std::ops::RangeInclusive<usize>)| {
        let width = usize::try_from(first.ilog10() + 1).unwrap_or(usize::MAX);
        let prefix = digits.iter().take(width).fold(0, |number, digit| number * 10 + digit);
        digits.len() > width && (*first..=*last).contains(&prefix) && lengths.contains(&digits.len())
    };
    let doubled = |(place, digit): (usize, &u32)| match (place % 2, digit * 2) {
        (0, _) => *digit,
        (_, twice) if twice > 9 => twice - 9,
        (_, twice) => twice,
    };
    // Of equal digits the sum may be right too, and no card has them.
    let varies = digits.iter().any(|digit| Some(digit) != digits.first());
    varies && ISSUERS.iter().any(begins) && digits.iter().rev().enumerate().map(doubled).sum::<u32>() % 10 == 0
}

/// A social security number: `NNN-NN-NNNN`, or nine digits where the words before speak of one.
pub(super) fn ssn(bytes: &[u8], at: usize, context: impl Fn() -> bool) -> Option<Hit> {
    let hit = |length: usize| Hit { kind: PiiKind::Ssn, start: at, end: at + length };
    let stands_alone = |length: usize| {
        let before = matches!(bytes[..at], [.., b'-']) || came_from(bytes, at);
        !before && ends_word(bytes, at + length) && !goes_on(bytes, at + length)
    };
    let part = |range: std::ops::Range<usize>| number(bytes.get(at + range.start..at + range.end)?);
    let separated = |separator: u8| bytes.get(at + 3) == Some(&separator) && bytes.get(at + 6) == Some(&separator);
    let parted = || Some((part(0..3)?, part(4..6)?, part(7..11)?));
    if separated(b'-') || separated(b' ') {
        let valid = stands_alone(11) && parted().is_some_and(is_ssn);
        return (valid && (separated(b'-') || context())).then(|| hit(11));
    }
    let joined = || Some((part(0..3)?, part(3..5)?, part(5..9)?));
    (stands_alone(9) && joined().is_some_and(is_ssn) && context()).then(|| hit(9))
}

fn number(digits: &[u8]) -> Option<u32> {
    let add = |number: u32, byte: &u8| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0'));
    digits.iter().try_fold(0, add)
}

/// The ranges that have been given out (Social Security Administration, "Social Security Number Randomization").
fn is_ssn((area, group, serial): (u32, u32, u32)) -> bool {
    (1..900).contains(&area) && area != 666 && group > 0 && serial > 0
}

/// Whether the text has the word `ssn`, or speaks of social security.
pub(super) fn speaks_of_ssn(text: &[u8]) -> bool {
    let text = text.to_ascii_lowercase();
    let letter = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_lowercase);
    let word = |(at, window): (usize, &[u8])| {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        window == b"ssn" && !letter(before) && !letter(text.get(at + 3)) && !text[..at].ends_with(b"redacted:")
    };
    let social = |window: &[u8]| window.starts_with(b"social") && window.ends_with(b"security");
    text.windows(3).enumerate().any(word) || text.windows(15).any(social)
}

/// Lengths of account numbers by country (SWIFT IBAN registry, release 97).
const COUNTRIES: &str = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24\
    FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27\
    MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25\
    SV28TL23TN24TR26UA29VA22VG24XK20YE30";

/// A bank account's number, in one piece or in groups of four.
pub(super) fn iban(bytes: &[u8], at: usize) -> Option<Hit> {
    let begin = bytes.get(at..at + 4)?;
    if !(begin[..2].iter().all(u8::is_ascii_alphabetic) && begin[2..].iter().all(u8::is_ascii_digit)) {
        return None;
    }
    let country = begin[..2].to_ascii_uppercase();
    let known = COUNTRIES.as_bytes().chunks(4).find(|known| known[..2] == *country)?;
    let length = usize::try_from(number(&known[2..])?).ok()?;
    let grouped = bytes.get(at + 4) == Some(&b' ');
    let (mut account, mut end) = (Vec::with_capacity(length), at);
    while account.len() < length {
        if grouped && !account.is_empty() && account.len() % 4 == 0 {
            (bytes.get(end) == Some(&b' ')).then_some(())?;
            end += 1;
        }
        account.push(bytes.get(end).copied().filter(u8::is_ascii_alphanumeric)?);
        end += 1;
    }
    account.rotate_left(4);
    let rest = account.iter().fold(0_u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        letter => (rest * 100 + u32::from(letter.to_ascii_uppercase() - b'A') + 10) % 97,
    });
    (rest == 1 && ends_word(bytes, end)).then_some(Hit { kind: PiiKind::Iban, start: at, end })
}
