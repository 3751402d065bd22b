//! The element types a tensor can have, and their Rust counterparts.

use half::{bf16, f16};
use num_complex::Complex;

/// Element type of a tensor; the names are PyTorch's.
///
/// The order is PyTorch's promotion order within a category, so `max` of two of one category is
/// their promotion (except `U8` with `I8`, and the wide unsigned types).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DType {
    Bool,
    U8,
    I8,
    I16,
    I32,
    I64,
    U16,
    U32,
    U64,
    F16,
    BF16,
    F32,
    F64,
    C64,
    C128,
}

impl DType {
    /// Every dtype, in the order of the enum.
    pub const ALL: [DType; 15] = [
        DType::Bool,
        DType::U8,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::F16,
        DType::BF16,
        DType::F32,
        DType::F64,
        DType::C64,
        DType::C128,
    ];

    /// Bytes per element.
    #[inline]
    pub const fn size(self) -> usize {
        const SIZES: [u8; 15] = [1, 1, 1, 2, 4, 8, 2, 4, 8, 2, 2, 4, 8, 8, 16];
        SIZES[self as usize] as usize
    }

    /// PyTorch's name, as in `torch.float32`.
    pub const fn name(self) -> &'static str {
        const NAMES: [&str; 15] = [
            "bool",
            "uint8",
            "int8",
            "int16",
            "int32",
            "int64",
            "uint16",
            "uint32",
            "uint64",
            "float16",
            "bfloat16",
            "float32",
            "float64",
            "complex64",
            "complex128",
        ];
        NAMES[self as usize]
    }

    /// The C++ scalar type name that PyTorch's error messages use (`Float`, `Long`, ...).
    pub const fn scalar_name(self) -> &'static str {
        const NAMES: [&str; 15] = [
            "Bool",
            "Byte",
            "Char",
            "Short",
            "Int",
            "Long",
            "UInt16",
            "UInt32",
            "UInt64",
            "Half",
            "BFloat16",
            "Float",
            "Double",
            "ComplexFloat",
            "ComplexDouble",
        ];
        NAMES[self as usize]
    }

    /// The name of PyTorch's legacy tensor class (`torch.FloatTensor`).
    pub const fn tensor_name(self) -> &'static str {
        match self {
            DType::Bool => "CPUBoolType",
            DType::U8 => "torch.ByteTensor",
            DType::I8 => "torch.CharTensor",
            DType::I16 => "torch.ShortTensor",
            DType::I32 => "torch.IntTensor",
            DType::I64 => "torch.LongTensor",
            DType::U16 => "CPUUInt16Type",
            DType::U32 => "CPUUInt32Type",
            DType::U64 => "CPUUInt64Type",
            DType::F16 => "torch.HalfTensor",
            DType::BF16 => "CPUBFloat16Type",
            DType::F32 => "torch.FloatTensor",
            DType::F64 => "torch.DoubleTensor",
            DType::C64 => "CPUComplexFloatType",
            DType::C128 => "CPUComplexDoubleType",
        }
    }

    /// The C++ type that some of PyTorch's error messages name (`float`, `long int`, ...).
    pub const fn cpp_name(self) -> &'static str {
        const NAMES: [&str; 15] = [
            "bool",
            "unsigned char",
            "signed char",
            "short int",
            "int",
            "long int",
            "short unsigned int",
            "unsigned int",
            "long unsigned int",
            "c10::Half",
            "c10::BFloat16",
            "float",
            "double",
            "c10::complex<float>",
            "c10::complex<double>",
        ];
        NAMES[self as usize]
    }

    /// True for float16, bfloat16, float32, float64.
    #[inline]
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F16 | DType::BF16 | DType::F32 | DType::F64)
    }

    /// True for complex64, complex128.
    #[inline]
    pub const fn is_complex(self) -> bool {
        matches!(self, DType::C64 | DType::C128)
    }

    /// True for the integer types, `bool` excluded.
    #[inline]
    pub const fn is_int(self) -> bool {
        (self as u8) >= DType::U8 as u8 && (self as u8) <= DType::U64 as u8
    }

    /// True for a type that can carry gradients.
    #[inline]
    pub const fn is_differentiable(self) -> bool {
        (self as u8) >= DType::F16 as u8
    }

    /// True for the integer types that hold negative numbers.
    pub const fn is_signed(self) -> bool {
        !matches!(self, DType::Bool | DType::U8 | DType::U16 | DType::U32 | DType::U64)
    }
}

/// A boolean as memory holds it: one byte, any non-zero value is true.
///
/// Rust's `bool` may not be read from memory that others (NumPy, DLPack) write, where a byte may be
/// neither 0 nor 1.
#[derive(Clone, Copy, Debug, Default)]
#[repr(transparent)]
pub struct Bool(pub u8);

impl Bool {
    #[inline(always)]
    pub const fn get(self) -> bool {
        self.0 != 0
    }
}

impl From<bool> for Bool {
    #[inline(always)]
    fn from(b: bool) -> Bool {
        Bool(b as u8)
    }
}

impl PartialEq for Bool {
    #[inline(always)]
    fn eq(&self, other: &Bool) -> bool {
        self.get() == other.get()
    }
}

/// A Rust type that is the element of some dtype.
pub trait Element: Copy + Default + Send + Sync + 'static {
    const DTYPE: DType;
}

macro_rules! elements {
    ($($t:ty => $d:ident),* $(,)?) => { $(impl Element for $t { const DTYPE: DType = DType::$d;
        })* };
}

elements! {
    Bool => Bool, u8 => U8, i8 => I8, i16 => I16, i32 => I32, i64 => I64, u16 => U16, u32 => U32,
        u64 => U64,
    f16 => F16, bf16 => BF16, f32 => F32, f64 => F64, Complex<f32> => C64, Complex<f64> => C128,
}
