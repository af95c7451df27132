//! The text of an expression, and what stands where in it.
//!
//! ```text
//! or      = and { "or" and }
//! and     = not { "and" not }
//! not     = "not" not | compare
//! compare = sum [ ("<" | "<=" | ">" | ">=" | "==" | "!=") sum ]
//! sum     = product { ("+" | "-") product }
//! product = sign { ("*" | "/") sign }
//! sign    = { "+" } ( "-" sign | power )
//! power   = atom [ "**" sign ]
//! atom    = number | name | name "(" [ or { "," or } ] ")" | "(" or ")"
//! ```

use super::ExpressionError;

/// Longest text, bytes.
pub const TEXT_BYTES_MAX: usize = 4_096;
/// Deepest nesting.
pub const DEPTH_MAX: u32 = 64;

/// A part of an expression, and where it begins: the byte, from 0.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) at: usize,
    pub(super) what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    Number(f64),
    Name(String),
    Call(String, Vec<Part>),
    /// Written as a sign between or before; named as a function.
    Sign(&'static str, Vec<Part>),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    Name(String),
    Sign(&'static str),
    End,
}

const SIGNS: [&str; 15] = [
    "**", "<=", ">=", "==", "!=", "<", ">", "+", "-", "*", "/", "(", ")", ",", "=",
];

/// Reads a text.
///
/// # Errors
/// What was found where, and what is allowed there.
pub(super) fn parse(text: &str) -> Result<Part, ExpressionError> {
    if text.len() > TEXT_BYTES_MAX {
        let what = format!("{} bytes; allowed are {TEXT_BYTES_MAX}", text.len());
        return Err(ExpressionError { at: 0, what });
    }
    let mut reader = Reader {
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
    };
    let part = reader.or()?;
    match reader.peek() {
        (_, Token::End) => Ok(part),
        (at, found) => Err(expected(*at, found, "an operator or the end")),
    }
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, ExpressionError> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = |is_in: fn(&u8) -> bool| rest.iter().take_while(|byte| is_in(byte)).count();
        if rest[0].is_ascii_whitespace() {
            at += 1;
        } else if rest[0].is_ascii_digit() || rest[0] == b'.' {
            let end = number_length(rest);
            let word = &text[at..at + end];
            let number: f64 = word
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite())
                .ok_or_else(|| {
                    let what = format!("{word:?} is no number");
                    ExpressionError { at, what }
                })?;
            found.push((at, Token::Number(number)));
            at += end;
        } else if rest[0].is_ascii_alphabetic() || rest[0] == b'_' {
            let end = length(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
            found.push((at, Token::Name(text[at..at + end].to_owned())));
            at += end;
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(sign.as_bytes())) {
            found.push((at, Token::Sign(sign)));
            at += sign.len();
        } else {
            let letter = text[at..].chars().next().unwrap_or(' ');
            let what = format!(
                "{letter:?} has no meaning; allowed are names, numbers and + - * / ** < <= > >= == != ( ) ,"
            );
            return Err(ExpressionError { at, what });
        }
    }
    found.push((text.len(), Token::End));
    Ok(found)
}

/// Digits, a point, an exponent with its sign.
fn number_length(rest: &[u8]) -> usize {
    let mut end = 0;
    while end < rest.len() {
        let is_sign = matches!(rest[end], b'+' | b'-') && end > 0 && matches!(rest[end - 1], b'e' | b'E');
        if rest[end].is_ascii_digit() || matches!(rest[end], b'.' | b'e' | b'E') || is_sign {
            end += 1;
        } else {
            break;
        }
    }
    end
}

fn expected(at: usize, found: &Token, allowed: &str) -> ExpressionError {
    let found = match found {
        Token::Number(number) => format!("the number {number}"),
        Token::Name(name) => format!("{name:?}"),
        Token::Sign(sign) => format!("{sign:?}"),
        Token::End => "the end".to_owned(),
    };
    let what = format!("found {found}; allowed is {allowed}");
    ExpressionError { at, what }
}

struct Reader {
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: u32,
}

impl Reader {
    fn peek(&self) -> &(usize, Token) {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take_sign(&mut self, allowed: &[&'static str]) -> Option<(usize, &'static str)> {
        let (at, token) = self.peek();
        let word = match token {
            Token::Sign(sign) => *sign,
            Token::Name(name) => allowed.iter().find(|sign| *sign == name)?,
            _ => return None,
        };
        let (at, sign) = (*at, *allowed.iter().find(|sign| **sign == word)?);
        self.next += 1;
        Some((at, sign))
    }

    fn need(&mut self, sign: &'static str) -> Result<(), ExpressionError> {
        if self.take_sign(&[sign]).is_some() {
            return Ok(());
        }
        let (at, found) = self.peek();
        Err(expected(*at, found, &format!("{sign:?}")))
    }

    /// One level deeper.
    fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, ExpressionError>,
    ) -> Result<T, ExpressionError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let what = format!("nested deeper than {DEPTH_MAX}");
            return Err(ExpressionError {
                at: self.peek().0,
                what,
            });
        }
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn chain(
        &mut self,
        signs: &[&'static str],
        next: fn(&mut Self) -> Result<Part, ExpressionError>,
    ) -> Result<Part, ExpressionError> {
        let mut left = next(self)?;
        while let Some((at, sign)) = self.take_sign(signs) {
            let right = next(self)?;
            let what = What::Sign(sign, vec![left, right]);
            left = Part { at, what };
        }
        Ok(left)
    }

    fn or(&mut self) -> Result<Part, ExpressionError> {
        self.deeper(|this| this.chain(&["or"], Self::and))
    }

    fn and(&mut self) -> Result<Part, ExpressionError> {
        self.chain(&["and"], Self::not)
    }

    fn not(&mut self) -> Result<Part, ExpressionError> {
        let Some((at, sign)) = self.take_sign(&["not"]) else {
            return self.compare();
        };
        let of = self.deeper(Self::not)?;
        let what = What::Sign(sign, vec![of]);
        Ok(Part { at, what })
    }

    fn compare(&mut self) -> Result<Part, ExpressionError> {
        let left = self.sum()?;
        let Some((at, sign)) = self.take_sign(&["<=", ">=", "==", "!=", "<", ">"]) else {
            return Ok(left);
        };
        let what = What::Sign(sign, vec![left, self.sum()?]);
        if let (at, Token::Sign(next @ ("<=" | ">=" | "==" | "!=" | "<" | ">"))) = self.peek() {
            let what =
                format!("found {next:?} after a comparison; allowed is one at a time: a < b and b < c");
            return Err(ExpressionError { at: *at, what });
        }
        Ok(Part { at, what })
    }

    fn sum(&mut self) -> Result<Part, ExpressionError> {
        self.chain(&["+", "-"], Self::product)
    }

    fn product(&mut self) -> Result<Part, ExpressionError> {
        self.chain(&["*", "/"], Self::sign)
    }

    fn sign(&mut self) -> Result<Part, ExpressionError> {
        // A plus before a number says nothing.
        while self.take_sign(&["+"]).is_some() {}
        let Some((at, _)) = self.take_sign(&["-"]) else {
            return self.power();
        };
        let of = self.deeper(Self::sign)?;
        let what = match of.what {
            What::Number(number) => What::Number(-number),
            _ => What::Sign("negative", vec![of]),
        };
        Ok(Part { at, what })
    }

    fn power(&mut self) -> Result<Part, ExpressionError> {
        let base = self.atom()?;
        let Some((at, sign)) = self.take_sign(&["**"]) else {
            return Ok(base);
        };
        let exponent = self.deeper(Self::sign)?;
        let what = What::Sign(sign, vec![base, exponent]);
        Ok(Part { at, what })
    }

    fn atom(&mut self) -> Result<Part, ExpressionError> {
        let (at, token) = self.peek().clone();
        match token {
            Token::Number(number) => {
                self.next += 1;
                let what = What::Number(number);
                Ok(Part { at, what })
            }
            Token::Name(name) if !matches!(name.as_str(), "and" | "or" | "not") => {
                self.next += 1;
                let what = match self.take_sign(&["("]) {
                    Some(_) => What::Call(name, self.arguments()?),
                    None => What::Name(name),
                };
                Ok(Part { at, what })
            }
            Token::Sign("(") => {
                self.next += 1;
                let inside = self.or()?;
                self.need(")")?;
                Ok(inside)
            }
            found => Err(expected(at, &found, "a number, a name or \"(\"")),
        }
    }

    fn arguments(&mut self) -> Result<Vec<Part>, ExpressionError> {
        let mut all = Vec::new();
        if self.take_sign(&[")"]).is_some() {
            return Ok(all);
        }
        loop {
            all.push(self.or()?);
            if self.take_sign(&[","]).is_none() {
                self.need(")")?;
                return Ok(all);
            }
        }
    }
}
