//! Parser and writer of a message from one line.

/// Defines an enum of messages; each line gives variant, command word and parameters, the last of which takes the rest
/// of the line.
macro_rules! messages {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $( $(#[$about:meta])* $variant:ident $( { $($param:ident : $type:ty),+ } )? = $word:literal, )+
        }
    ) => {
        $(#[$meta])*
        // The lines that document the variants name the parameters.
        #[allow(missing_docs)]
        #[derive(Debug, Clone, PartialEq)]
        pub enum $name {
            $( $(#[$about])* $variant $( { $($param: $type),+ } )?, )+
        }

        impl $name {
            /// Parses the parameters of a command; `None` if it is none of these messages.
            pub(super) fn parse_params(
                command: &[u8],
                input: &[u8],
            ) -> Option<Result<Self, $crate::external::ParseError>> {
                $(
                    if command == $word.as_bytes() {
                        let parse = |input| -> nom::IResult<&[u8], Self> {
                            params!(input; $( $($param: $type),+ )?);
                            Ok((input, Self::$variant $( { $($param),+ } )?))
                        };
                        return Some(parse(input).map(|(_, message)| message).map_err(|_| {
                            $crate::external::ParseError::Malformed
                        }));
                    }
                )+
                let _ = input;
                None
            }

            /// Appends the message with its line feed.
            pub fn write_to(&self, out: &mut Vec<u8>) {
                match self {
                    $(
                        Self::$variant $( { $($param),+ } )? => {
                            out.extend_from_slice($word.as_bytes());
                            $( $( out.push(b' '); $crate::external::param::Param::write_to($param, out); )+ )?
                        }
                    )+
                }
                out.push(b'\n');
            }
        }
    };
}

/// Reads the parameters into variables of their names, and all of the input.
macro_rules! params {
    ($input:ident;) => {
        let ($input, _) = nom::combinator::eof::<_, nom::error::Error<&[u8]>>($input)?;
    };
    ($input:ident; $param:ident : $type:ty) => {
        let ($input, $param) = nom::Parser::parse(
            &mut nom::combinator::map_opt(nom::combinator::rest, <$type as $crate::external::param::Param>::parse),
            $input,
        )?;
    };
    ($input:ident; $param:ident : $type:ty, $($more:tt)+) => {
        let ($input, $param) = nom::Parser::parse(
            &mut nom::combinator::map_opt($crate::line::field, <$type as $crate::external::param::Param>::parse),
            $input,
        )?;
        params!($input; $($more)+);
    };
}
