//! The words inside `#[samara_sdk::function(…)]` and `#[tensor(…)]`.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprArray, ExprLit, ExprUnary, Ident, Lit, LitStr, Result, Token, UnOp};

/// What was said of the outputs, in order; `None` if nothing.
pub struct Outputs {
    pub specs: Option<Vec<Output>>,
}

/// One output: its name and what its type does not say.
pub struct Output {
    pub name: Name,
    pub keys: Keys,
}

/// The name of a tensor and where it was written.
pub struct Name {
    pub text: String,
    pub span: Span,
}

/// What an attribute says of a tensor.
#[derive(Default)]
pub struct Keys {
    pub name: Option<LitStr>,
    pub datatype: Option<Ident>,
    pub shape: Option<Vec<i64>>,
    pub media_type: Option<LitStr>,
}

/// The datatypes as the protocol names them, and as the SDK's enum does.
pub const DATATYPES: [(&str, &str); 14] = [
    ("BOOL", "Bool"),
    ("UINT8", "Uint8"),
    ("UINT16", "Uint16"),
    ("UINT32", "Uint32"),
    ("UINT64", "Uint64"),
    ("INT8", "Int8"),
    ("INT16", "Int16"),
    ("INT32", "Int32"),
    ("INT64", "Int64"),
    ("FP16", "Fp16"),
    ("BF16", "Bf16"),
    ("FP32", "Fp32"),
    ("FP64", "Fp64"),
    ("BYTES", "Bytes"),
];

impl Parse for Outputs {
    fn parse(input: ParseStream<'_>) -> Result<Outputs> {
        if input.is_empty() {
            return Ok(Outputs { specs: None });
        }
        let key = input.call(Ident::parse_any)?;
        let specs = match key.to_string().as_str() {
            "output" if input.peek(Token![=]) => {
                input.parse::<Token![=]>()?;
                vec![Output::plain(input.parse()?)]
            }
            "outputs" if input.peek(Token![=]) => {
                input.parse::<Token![=]>()?;
                name_list(input)?
            }
            "outputs" if input.peek(syn::token::Paren) => spec_list(input)?,
            _ => return Err(Error::new(key.span(), FORMS)),
        };
        input.parse::<Option<Token![,]>>()?;
        if !input.is_empty() {
            return Err(input.error(FORMS));
        }
        if specs.is_empty() {
            return Err(Error::new(key.span(), "a function gives at least one output"));
        }
        Ok(Outputs { specs: Some(specs) })
    }
}

impl Output {
    fn plain(name: LitStr) -> Output {
        Output { name: Name { text: name.value(), span: name.span() }, keys: Keys::default() }
    }
}

impl Parse for Output {
    fn parse(input: ParseStream<'_>) -> Result<Output> {
        let name = input.parse()?;
        let mut keys = Keys::default();
        if input.peek(syn::token::Paren) {
            let inside;
            syn::parenthesized!(inside in input);
            keys = inside.parse()?;
        }
        if let Some(second) = &keys.name {
            return Err(Error::new(second.span(), "the output has its name already, before the parentheses"));
        }
        Ok(Output { name, keys })
    }
}

impl Parse for Name {
    fn parse(input: ParseStream<'_>) -> Result<Name> {
        if input.peek(LitStr) {
            let name: LitStr = input.parse()?;
            return Ok(Name { text: name.value(), span: name.span() });
        }
        let Ok(name) = input.call(Ident::parse_any) else {
            return Err(
                input.error("expected the name of an output: `label`, or `\"top-k\"` if it is no identifier")
            );
        };
        Ok(Name { text: name.unraw().to_string(), span: name.span() })
    }
}

impl Parse for Keys {
    fn parse(input: ParseStream<'_>) -> Result<Keys> {
        let mut keys = Keys::default();
        while !input.is_empty() {
            let key = input.call(Ident::parse_any)?;
            input.parse::<Token![=]>()?;
            let repeated = match key.to_string().as_str() {
                "name" => keys.name.replace(input.parse()?).is_some(),
                "datatype" => keys.datatype.replace(datatype(input)?).is_some(),
                "shape" => keys.shape.replace(shape(input)?).is_some(),
                "media_type" => keys.media_type.replace(input.parse()?).is_some(),
                _ => return Err(Error::new(key.span(), KEYS)),
            };
            if repeated {
                return Err(Error::new(key.span(), format!("`{key}` is given twice")));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(keys)
    }
}

const FORMS: &str = "expected `output = \"name\"`, `outputs = [\"first\", \"second\"]`, or \
                     `outputs(first, second(shape = [-1, 10]))`";

const KEYS: &str = "expected `name = \"…\"`, `datatype = FP32`, `shape = [-1, 3]` or `media_type = \"…\"`";

fn name_list(input: ParseStream<'_>) -> Result<Vec<Output>> {
    let inside;
    syn::bracketed!(inside in input);
    let names = Punctuated::<LitStr, Token![,]>::parse_terminated(&inside)?;
    Ok(names.into_iter().map(Output::plain).collect())
}

fn spec_list(input: ParseStream<'_>) -> Result<Vec<Output>> {
    let inside;
    syn::parenthesized!(inside in input);
    let specs = Punctuated::<Output, Token![,]>::parse_terminated(&inside)?;
    Ok(specs.into_iter().collect())
}

/// A datatype, as the variant of the SDK's enum with the span of what was written.
fn datatype(input: ParseStream<'_>) -> Result<Ident> {
    let names = || DATATYPES.map(|(name, _)| name).join(", ");
    let Ok(written) = input.call(Ident::parse_any) else {
        return Err(input.error(format!("expected one of {}, without quotes", names())));
    };
    match DATATYPES.iter().find(|(name, _)| written == name) {
        Some((_, variant)) => Ok(Ident::new(variant, written.span())),
        None => {
            Err(Error::new(written.span(), format!("`{written}` is not a datatype; they are {}", names())))
        }
    }
}

fn shape(input: ParseStream<'_>) -> Result<Vec<i64>> {
    let array: ExprArray = input.parse()?;
    array.elems.iter().map(size).collect()
}

fn size(element: &Expr) -> Result<i64> {
    let wrong = || Error::new_spanned(element, "a size is a whole number, or -1 for any size");
    match element {
        Expr::Lit(ExprLit { lit: Lit::Int(size), .. }) => size.base10_parse().map_err(|_| wrong()),
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => match &**expr {
            Expr::Lit(ExprLit { lit: Lit::Int(size), .. }) if size.base10_digits() == "1" => Ok(-1),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}
