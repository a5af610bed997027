//! The layout of a type as a manifest writes it down in C: `struct { __u32 saddr; __u16 port; }`.
//!
//! Takes what BPF's keys and values are made of: integers, pointers, enums and structs that the
//! object names, arrays, nested structs and unions, bit fields. Members are placed as the BPF ABI
//! does: each at a multiple of its alignment, a bit field in one unit of its type.

use crate::model::ctype::{CType, CTypeKind, Member};

/// How deep structs nest.
const DEPTH_MAX: u32 = 16;
/// Most members of a declaration.
const MEMBERS_MAX: usize = 1024;
/// Bytes of a pointer.
const POINTER: u32 = 8;

/// Whether a type is written down, rather than named.
pub(super) fn is_declaration(text: &str) -> bool {
    text.contains('{')
}

/// Reads a struct or union. `named` knows the object's types by their names in C.
pub(super) fn parse(text: &str, named: &dyn Fn(&str) -> Option<CType>) -> Result<CType, String> {
    let mut parser = Parser { words: words(text)?, at: 0, members: 0, named };
    let (ctype, align) = parser.base(0)?;
    if align == 0 {
        return Err("it has no members".to_owned());
    }
    match parser.next() {
        None => Ok(ctype),
        Some(";") if parser.at == parser.words.len() => Ok(ctype),
        Some(word) => Err(format!("`{word}` after the end of the type")),
    }
}

/// Names, numbers and single signs.
fn words(text: &str) -> Result<Vec<&str>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if "{}[];:*,".contains(first) {
            1
        } else {
            return Err(format!("{first:?} is nothing that a type is made of"));
        };
        let (word, after) = rest.split_at(end);
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

struct Parser<'t> {
    words: Vec<&'t str>,
    at: usize,
    members: usize,
    named: &'t dyn Fn(&str) -> Option<CType>,
}

/// Where the next member goes, in bits, and what the struct needs.
#[derive(Default)]
struct Placed {
    members: Vec<Member>,
    end: u32,
    size: u32,
    align: u32,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&'t str> {
        self.words.get(self.at).copied()
    }

    fn next(&mut self) -> Option<&'t str> {
        let word = self.peek()?;
        self.at += 1;
        Some(word)
    }

    fn takes(&mut self, word: &str) -> bool {
        let is = self.peek() == Some(word);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.takes(word) {
            return Ok(());
        }
        Err(match self.peek() {
            Some(found) => format!("`{word}` is expected before `{found}`"),
            None => format!("`{word}` is missing at the end"),
        })
    }

    /// A type without what its declarator adds, and its alignment in bytes.
    fn base(&mut self, depth: u32) -> Result<(CType, u32), String> {
        while self.takes("const") || self.takes("volatile") {}
        let Some(word) = self.next() else { return Err("a type is missing at the end".to_owned()) };
        if !is_name(word) {
            return Err(format!("a type is expected before `{word}`"));
        }
        if matches!(word, "struct" | "union") {
            let tag = self.peek().filter(|word| is_name(word));
            self.at += usize::from(tag.is_some());
            if self.takes("{") {
                return self.body(word, tag, depth);
            }
            let tag = tag.ok_or_else(|| format!("`{word}` without a name or members"))?;
            return self.lookup(&format!("{word} {tag}"));
        }
        if word == "enum" {
            let tag = self.next().filter(|word| is_name(word));
            return self.lookup(&format!("enum {}", tag.ok_or("`enum` without a name")?));
        }
        let mut name = word.to_owned();
        // `unsigned long long`; the name of the member ends the row of words.
        while is_integer_word(&name) && self.peek().is_some_and(is_integer_word) {
            name.push(' ');
            name.push_str(self.next().unwrap_or_default());
        }
        match builtin(&name) {
            Some(ctype) => {
                let align = ctype.size;
                Ok((ctype, align))
            }
            None => self.lookup(&name),
        }
    }

    fn lookup(&self, name: &str) -> Result<(CType, u32), String> {
        let found = (self.named)(name).ok_or_else(|| format!("the object has no type `{name}`"))?;
        let align = alignment(&found);
        Ok((found, align))
    }

    fn body(&mut self, word: &str, tag: Option<&str>, depth: u32) -> Result<(CType, u32), String> {
        if depth >= DEPTH_MAX {
            return Err(format!("structs nest deeper than {DEPTH_MAX}"));
        }
        let union = word == "union";
        let mut placed = Placed::default();
        while !self.takes("}") {
            let (base, align) = self.base(depth + 1)?;
            if self.takes(";") {
                placed.add(String::new(), base, align, None, union)?;
                continue;
            }
            loop {
                self.members += 1;
                if self.members > MEMBERS_MAX {
                    return Err(format!("more than {MEMBERS_MAX} members"));
                }
                self.member(base.clone(), align, &mut placed, union)?;
                if !self.takes(",") {
                    break;
                }
            }
            self.expect(";")?;
        }
        let align = placed.align.max(u32::from(!placed.members.is_empty()));
        let size = placed.size.checked_next_multiple_of(align.max(1)).ok_or("it is too large")?;
        let name = tag.map_or_else(|| format!("{word} {{…}}"), |tag| format!("{word} {tag}"));
        let kind = CTypeKind::Struct { union, members: placed.members };
        Ok((CType { name, size, kind }, align))
    }

    fn member(
        &mut self,
        base: CType,
        align: u32,
        placed: &mut Placed,
        union: bool,
    ) -> Result<(), String> {
        let (mut ctype, mut align) = (base, align);
        while self.takes("*") {
            ctype = CType {
                name: format!("{} *", ctype.name),
                size: POINTER,
                kind: CTypeKind::Pointer,
            };
            align = POINTER;
        }
        let name = match self.next() {
            Some(name) if is_name(name) => name.to_owned(),
            Some(word) => return Err(format!("the name of a member is expected before `{word}`")),
            None => return Err("the name of a member is missing at the end".to_owned()),
        };
        if self.takes(":") {
            let width = self.number()?;
            if width == 0 || width > ctype.size.saturating_mul(8) {
                return Err(format!("`{name}` cannot have {width} bits"));
            }
            return placed.add(name, ctype, align, Some(width), union);
        }
        let mut counts = Vec::new();
        while self.takes("[") {
            counts.push(self.number()?);
            self.expect("]")?;
        }
        for count in counts.into_iter().rev() {
            let size = ctype.size.checked_mul(count).ok_or("an array is too large")?;
            ctype = CType {
                name: format!("{}[{count}]", ctype.name),
                size,
                kind: CTypeKind::Array { element: Box::new(ctype), count },
            };
        }
        placed.add(name, ctype, align, None, union)
    }

    fn number(&mut self) -> Result<u32, String> {
        let word = self.next().unwrap_or_default();
        let parsed = match word.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => word.parse(),
        };
        parsed.map_err(|error| format!("{word:?} is no number: {error}"))
    }
}

impl Placed {
    fn add(
        &mut self,
        name: String,
        ctype: CType,
        align: u32,
        width: Option<u32>,
        union: bool,
    ) -> Result<(), String> {
        let align = align.max(1);
        let unit = ctype.size.saturating_mul(8).max(1);
        let from = if union { 0 } else { self.end };
        let bits = width.unwrap_or_else(|| ctype.size.saturating_mul(8));
        let bit_offset = match width {
            Some(width) if from % unit + width <= unit => Some(from),
            Some(_) => from.checked_next_multiple_of(unit),
            None => from.checked_next_multiple_of(align.saturating_mul(8)),
        };
        let too_large = || "it is too large".to_owned();
        let bit_offset = bit_offset.ok_or_else(too_large)?;
        self.end = bit_offset.checked_add(bits).ok_or_else(too_large)?;
        self.size = self.size.max(self.end.div_ceil(8));
        self.align = self.align.max(align);
        self.members.push(Member { name, bit_offset, bit_width: width, ctype });
        Ok(())
    }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

fn is_integer_word(word: &str) -> bool {
    word.split(' ')
        .all(|word| matches!(word, "signed" | "unsigned" | "char" | "short" | "int" | "long"))
}

/// The alignment of a type whose layout is known: that of its largest scalar.
fn alignment(ctype: &CType) -> u32 {
    match &ctype.kind {
        CTypeKind::Array { element, .. } => alignment(element),
        CTypeKind::Struct { members, .. } => {
            let members = members.iter().map(|member| alignment(&member.ctype));
            let largest = members.max().unwrap_or(1);
            // One that does not keep to it is packed.
            if ctype.size.is_multiple_of(largest) { largest } else { 1 }
        }
        _ => ctype.size.clamp(1, 16),
    }
}

/// What needs no object: the integers of C and of `linux/types.h`.
fn builtin(name: &str) -> Option<CType> {
    let int = |size, signed| Some((size, CTypeKind::Int { signed }));
    let (size, kind) = match name {
        "char" | "signed char" => Some((1, CTypeKind::Char { signed: true })),
        "unsigned char" | "__u8" | "u8" | "uint8_t" => int(1, false),
        "__s8" | "s8" | "int8_t" => int(1, true),
        "short" | "short int" | "signed short" | "__s16" | "s16" | "int16_t" => int(2, true),
        "unsigned short" | "unsigned short int" | "__u16" | "u16" | "uint16_t" | "__be16"
        | "__le16" | "__sum16" => int(2, false),
        "int" | "signed" | "signed int" | "__s32" | "s32" | "int32_t" => int(4, true),
        "unsigned" | "unsigned int" | "__u32" | "u32" | "uint32_t" | "__be32" | "__le32"
        | "__wsum" => int(4, false),
        "long" | "long int" | "signed long" | "long long" | "long long int"
        | "signed long long" | "__s64" | "s64" | "int64_t" => int(8, true),
        "unsigned long"
        | "unsigned long int"
        | "unsigned long long"
        | "unsigned long long int"
        | "__u64"
        | "u64"
        | "uint64_t"
        | "__be64"
        | "__le64"
        | "size_t" => int(8, false),
        "_Bool" | "bool" => Some((1, CTypeKind::Bool)),
        "float" => Some((4, CTypeKind::Float)),
        "double" => Some((8, CTypeKind::Float)),
        _ => None,
    }?;
    Some(CType { name: name.to_owned(), size, kind })
}

/// A scalar by its name in C, where no object is needed to know it.
pub(super) fn scalar(name: &str) -> Option<CType> {
    builtin(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<CType, String> {
        parse(text, &|name| {
            let flow = CType {
                name: name.to_owned(),
                size: 12,
                kind: CTypeKind::Struct {
                    union: false,
                    members: vec![Member {
                        name: "a".to_owned(),
                        bit_offset: 0,
                        bit_width: None,
                        ctype: builtin("__u32").expect("a builtin"),
                    }],
                },
            };
            (name == "struct flow").then_some(flow)
        })
    }

    fn places(text: &str) -> (u32, Vec<(String, u32)>) {
        let ctype = read(text).expect("it is a type");
        let CTypeKind::Struct { members, .. } = ctype.kind else { panic!("a struct") };
        let place = |member: Member| (member.name, member.bit_offset);
        (ctype.size, members.into_iter().map(place).collect())
    }

    #[test]
    fn members_lie_where_c_puts_them() {
        let at = |name: &str, bits| (name.to_owned(), bits);
        assert_eq!(
            places("struct key { __u8 proto; __be32 addr; unsigned long long *p, n; }"),
            (24, vec![at("proto", 0), at("addr", 32), at("p", 64), at("n", 128)]),
            "`n` is no pointer, and has its own place"
        );
        assert_eq!(
            places("struct { char name[16]; struct flow flow; __u16 last[2][3]; };"),
            (40, vec![at("name", 0), at("flow", 128), at("last", 224)])
        );
        assert_eq!(
            places("union { __u64 whole; struct { __u8 low; } part; }"),
            (8, vec![at("whole", 0), at("part", 0)])
        );
        assert_eq!(
            places("struct { __u32 a : 3; __u32 b : 30; __u8 c; }"),
            (12, vec![at("a", 0), at("b", 32), at("c", 64)])
        );
    }

    #[test]
    fn what_is_no_type_is_told() {
        for (text, expected) in [
            ("struct {", "at the end"),
            ("struct { }", "no members"),
            ("struct { __u32 a }", "`;` is expected before `}`"),
            ("struct { thing a; }", "no type `thing`"),
            ("struct { __u32 a[x]; }", "no number"),
            ("struct { __u32 a : 40; }", "cannot have 40 bits"),
            ("struct { __u32 a; } b", "after the end"),
            ("struct { __u32 a = 1; }", "'='"),
            ("struct { __u64 a[4294967295]; }", "too large"),
            ("{ __u32 a; }", "a type is expected"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
        let deep = "struct { ".repeat(200);
        assert!(read(&deep).is_err_and(|error| error.contains("deeper")));
    }
}
