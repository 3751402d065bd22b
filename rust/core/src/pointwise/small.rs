//! Calls on few elements: straight to the kernel, with operands gathered on the stack.

use super::{Operand, Plan, arg_dtype, block, result_dtype, special};
use crate::op::{Id, Pointwise, Rule};
use crate::shape::{Layout, Shape, Strides, broadcast_strides, expandable, same};
use crate::{DType, Result, Scalar, Storage, Tensor, lazy};
use smallvec::SmallVec;
use std::mem::MaybeUninit;
use wengert_kernels::pointwise::{Kernel, copy_strided, fill};

/// Up to so many elements an operand is gathered on the stack.
pub(crate) const MOST: usize = 64;

/// Two small row-major tensors of one shape and dtype: straight to the kernel.
#[inline]
pub(super) fn binary_fast(id: Id, p: &Pointwise, a: &Tensor, b: &Tensor) -> Result<Option<Tensor>> {
    let (la, lb) = (a.layout(), b.layout());
    let d = a.dtype();
    let fits = d == b.dtype()
        && la.numel < lazy::MIN
        && la.contiguous
        && lb.contiguous
        && same(&la.shape, &lb.shape)
        && !(a.storage().is_pending() || b.storage().is_pending());
    if !fits || matches!(p.dtype, Rule::Mask | Rule::Truth) || (d.is_int() && special::divides(id))
    {
        return Ok(None);
    }
    let out_dtype = result_dtype(p.dtype, d);
    let same_type = out_dtype == d || p.dtype == Rule::Compare;
    let Some(kernel) = p.forward.get(d).filter(|_| same_type) else { return Ok(None) };
    let layout = Layout {
        shape: Shape::from_slice(&la.shape),
        strides: Strides::from_slice(&lb.strides),
        offset: 0,
        numel: la.numel,
        contiguous: true,
    };
    let out = Tensor::from_parts(Storage::new(la.numel * out_dtype.size())?, layout, out_dtype);
    let (x, y) = (a.ready_ptr(), b.ready_ptr());
    // SAFETY: all three hold `numel` elements in a row, of the dtype the kernel is for.
    unsafe { kernel(out.ready_ptr(), &[x, y, x], la.numel) };
    Ok(Some(out))
}

/// True for a small row-major tensor of floats that is not pending.
#[inline]
fn plain_floats(t: &Tensor) -> bool {
    let l = t.layout();
    l.contiguous
        && l.numel < lazy::MIN
        && matches!(t.dtype(), DType::F32 | DType::F64)
        && !t.storage().is_pending()
}

/// A fresh tensor like the row-major `a`, of another dtype.
#[inline]
fn rows_like(a: &Tensor, dtype: DType) -> Result<Tensor> {
    let l = a.layout();
    let layout = Layout {
        shape: Shape::from_slice(&l.shape),
        strides: Strides::from_slice(&l.strides),
        offset: 0,
        numel: l.numel,
        contiguous: true,
    };
    Ok(Tensor::from_parts(Storage::new(l.numel * dtype.size())?, layout, dtype))
}

/// One small row-major tensor of floats: straight to the kernel.
#[inline]
pub(super) fn unary_fast(p: &Pointwise, a: &Tensor) -> Result<Option<Tensor>> {
    if !plain_floats(a) || p.dtype == Rule::Truth {
        return Ok(None);
    }
    let Some(kernel) = p.forward.get(a.dtype()) else { return Ok(None) };
    let out = rows_like(a, result_dtype(p.dtype, a.dtype()))?;
    let x = a.ready_ptr();
    // SAFETY: both hold `numel` elements in a row, of the dtypes the kernel is for.
    unsafe { kernel(out.ready_ptr(), &[x, x, x], a.numel()) };
    Ok(Some(out))
}

/// A small row-major tensor of floats and a number.
#[inline]
pub(super) fn number_fast(
    id: Id,
    p: &Pointwise,
    a: &Tensor,
    args: &[Operand],
    n: Scalar,
) -> Result<Option<Tensor>> {
    let odd = matches!(p.dtype, Rule::Truth | Rule::Mask)
        || (matches!(n, Scalar::Bool(_)) && p.dtype == Rule::PromoteNoBool);
    if !plain_floats(a) || a.numel() > MOST || odd {
        return Ok(None);
    }
    if let Some((run, args)) = special::cheaper(id, args, a.dtype()) {
        return if args.len() == 1 { unary_fast(block(run), a) } else { Ok(None) };
    }
    let Some(kernel) = p.forward.get(a.dtype()) else { return Ok(None) };
    let out = rows_like(a, result_dtype(p.dtype, a.dtype()))?;
    let mut same = [0f64; MOST];
    let b = same.as_mut_ptr().cast::<u8>();
    let x = a.ready_ptr();
    // SAFETY: `b` has room for 64 elements of up to 8 bytes; the rest as in `unary_fast`.
    unsafe {
        wengert_kernels::pointwise::fill(a.dtype().size(), b, &n.bytes(a.dtype()), a.numel());
        kernel(out.ready_ptr(), &[x, b, b], a.numel());
    }
    Ok(Some(out))
}

/// Room for one gathered operand.
#[repr(align(64))]
pub(crate) struct Rows(MaybeUninit<[[u64; 2]; MOST]>);

impl Rows {
    pub const fn new() -> Rows {
        Rows(MaybeUninit::uninit())
    }

    fn at(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }
}

/// The elements of `t` in the order of the index space `shape`, of at most [`MOST`] elements, to
/// which it broadcasts: in its own memory, or gathered in `room`.
#[inline]
pub(crate) fn as_rows(t: &Tensor, shape: &[usize], room: &mut Rows) -> Result<*const u8> {
    let from = t.ptr()?.cast_const();
    if t.is_contiguous() && same(t.shape(), shape) {
        return Ok(from);
    }
    let (size, to) = (t.dtype().size(), room.at());
    let strides = broadcast_strides(t.shape(), t.strides(), shape);
    let Some(last) = shape.len().checked_sub(1) else {
        // SAFETY: one element each.
        unsafe { copy_strided(size, to, 0, from, 0, 1) };
        return Ok(to);
    };
    let run = shape[last];
    let mut done = 0;
    each_row(shape, &strides, |start| {
        // SAFETY: a row of a live tensor broadcast to `shape`; `room` holds all of its elements.
        unsafe {
            let (dst, src) = (to.add(done * size), from.offset(start * size as isize));
            copy_strided(size, dst, size as isize, src, strides[last] * size as isize, run);
        }
        done += run;
    });
    Ok(to)
}

/// Calls `f` with the offset of the first element of each row of an index space of one dimension
/// or more.
#[inline]
fn each_row(shape: &[usize], strides: &[isize], mut f: impl FnMut(isize)) {
    let last = shape.len() - 1;
    if shape.contains(&0) {
        return;
    }
    let mut index: SmallVec<[usize; 4]> = SmallVec::from_elem(0, last);
    let mut at = 0;
    loop {
        f(at);
        let mut d = last;
        loop {
            if d == 0 {
                return;
            }
            d -= 1;
            index[d] += 1;
            at += strides[d];
            if index[d] < shape[d] {
                break;
            }
            at -= strides[d] * shape[d] as isize;
            index[d] = 0;
        }
    }
}

/// A row-major copy of `t` broadcast to `shape`, of at most [`MOST`] elements; not recorded.
pub(crate) fn spread_few(t: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let out = Tensor::empty(shape, t.dtype())?;
    let mut room = Rows::new();
    let from = as_rows(t, shape, &mut room)?;
    // SAFETY: both hold as many elements of this size.
    unsafe { out.ready_ptr().copy_from_nonoverlapping(from, out.numel() * t.dtype().size()) };
    Ok(out)
}

/// The sum of at most [`MOST`] floats over the dimensions along which `shape` was broadcast; not
/// recorded. None for other dtypes.
pub(crate) fn sum_few(t: &Tensor, shape: &[usize]) -> Result<Option<Tensor>> {
    let mut room = Rows::new();
    let from = as_rows(t, t.shape(), &mut room)?;
    let out = Tensor::zeros(shape, t.dtype())?;
    let strides = broadcast_strides(shape, out.strides(), t.shape());
    // SAFETY: `from` holds the elements of `t` in a row; `out`, broadcast, has a place for each.
    unsafe {
        match t.dtype() {
            DType::F32 => add_rows::<f32>(from.cast(), out.ready_ptr().cast(), t.shape(), &strides),
            DType::F64 => add_rows::<f64>(from.cast(), out.ready_ptr().cast(), t.shape(), &strides),
            _ => return Ok(None),
        }
    }
    Ok(Some(out))
}

/// # Safety
/// `from` holds the elements of the index space in a row; `strides` stay inside `to`.
unsafe fn add_rows<T: Copy + std::ops::AddAssign>(
    from: *const T,
    to: *mut T,
    shape: &[usize],
    strides: &[isize],
) {
    let (Some(&run), Some(&step)) = (shape.last(), strides.last()) else {
        // SAFETY: one element each.
        unsafe { *to += *from };
        return;
    };
    let mut done = 0;
    each_row(shape, strides, |start| {
        for i in 0..run {
            // SAFETY: the caller's promise.
            unsafe { *to.offset(start + i as isize * step) += *from.add(done + i) };
        }
        done += run;
    });
}

/// Runs a call of few elements whose operands need no conversion; None for any other.
#[inline]
pub(super) fn few(p: &Pointwise, plan: &Plan, args: &[Operand]) -> Result<Option<Tensor>> {
    let n: usize = plan.shape.iter().product();
    let made =
        if matches!(p.dtype, Rule::Compare | Rule::Truth) { DType::Bool } else { plan.compute };
    let fits = |(i, a): (usize, &Operand)| {
        a.tensor().is_none_or(|t| {
            t.dtype() == arg_dtype(p.dtype, i, plan.compute)
                && (t.is_contiguous() || plan.shape.len() < 2)
        })
    };
    if n == 0 || n > MOST || made != plan.out || !args.iter().enumerate().all(fits) {
        return Ok(None);
    }
    let Some(kernel) = p.forward.get(plan.compute) else { return Ok(None) };
    let mut rooms = [const { Rows::new() }; 3];
    let mut src = [std::ptr::null::<u8>(); 3];
    for (i, (a, room)) in args.iter().zip(&mut rooms).enumerate() {
        src[i] = match a {
            Operand::Tensor(t) => as_rows(t, &plan.shape, room)?,
            Operand::Number(s) => {
                let d = arg_dtype(p.dtype, i, plan.compute);
                // SAFETY: `room` holds `n` elements.
                unsafe { fill(d.size(), room.at(), &s.bytes(d), n) };
                room.at()
            }
        };
    }
    for i in args.len()..3 {
        src[i] = src[0];
    }
    let out = Tensor::empty(&plan.shape, plan.out)?;
    // SAFETY: all operands hold `n` elements in a row, of the dtypes the kernel is for.
    unsafe { kernel(out.ready_ptr(), &src, n) };
    Ok(Some(out))
}

/// The kernel of a call that writes its result into its first argument, a small row-major tensor
/// of floats, and needs no conversion; None for any other.
#[inline]
pub(super) fn in_place_kernel(
    id: Id,
    p: &Pointwise,
    args: &[Operand],
    x: &Tensor,
) -> Option<Kernel> {
    let (d, n) = (x.dtype(), x.numel());
    if n == 0
        || !plain_floats(x)
        || matches!(p.dtype, Rule::Truth | Rule::Mask | Rule::Compare)
        || special::cheaper(id, args, d).is_some()
    {
        return None;
    }
    let fits = args[1..].iter().all(|a| match a {
        Operand::Tensor(t) => {
            let whole = t.is_contiguous() && same(t.shape(), x.shape());
            t.dtype() == d
                && !t.storage().is_pending()
                && (whole || (n <= MOST && expandable(t.shape(), x.shape())))
                && (!t.storage().same(x.storage()) || t.same(x))
        }
        Operand::Number(s) => n <= MOST && !matches!(s, Scalar::Bool(_)),
    });
    p.forward.get(d).filter(|_| fits)
}

/// Runs a call that has an [`in_place_kernel`].
#[inline]
pub(super) fn few_in_place(kernel: Kernel, args: &[Operand], x: &Tensor) -> Result<()> {
    let (d, n) = (x.dtype(), x.numel());
    lazy::before_write(x.storage())?;
    let mut rooms = [const { Rows::new() }; 3];
    let to = x.ready_ptr();
    let mut src = [to.cast_const(); 3];
    for (i, (a, room)) in args.iter().zip(&mut rooms).enumerate().skip(1) {
        src[i] = match a {
            Operand::Tensor(t) => as_rows(t, x.shape(), room)?,
            Operand::Number(s) => {
                // SAFETY: `room` holds `n` elements.
                unsafe { fill(d.size(), room.at(), &s.bytes(d), n) };
                room.at()
            }
        };
    }
    // SAFETY: all hold `n` elements of `d` in a row, and none but `x` itself overlaps it.
    unsafe { kernel(to, &src, n) };
    Ok(())
}

/// Copies at most [`MOST`] elements of one dtype, broadcasting; False if there are more, or another
/// dtype: nothing was done.
#[inline]
pub(super) fn copy_few(from: &Tensor, to: &Tensor) -> Result<bool> {
    let n = to.numel();
    if n == 0 || n > MOST || from.dtype() != to.dtype() || from.storage().same(to.storage()) {
        return Ok(false);
    }
    let size = to.dtype().size();
    let mut room = Rows::new();
    let (src, dst) = (as_rows(from, to.shape(), &mut room)?, to.ptr()?);
    let Some(last) = to.ndim().checked_sub(1).filter(|_| !to.is_contiguous()) else {
        // SAFETY: both hold `n` elements of this size in a row, in different memory.
        unsafe { dst.copy_from_nonoverlapping(src, n * size) };
        return Ok(true);
    };
    let (run, step) = (to.shape()[last], to.strides()[last] * size as isize);
    let mut done = 0;
    each_row(to.shape(), to.strides(), |start| {
        // SAFETY: a row of a live tensor; `src` holds all elements.
        unsafe {
            let (dst, src) = (dst.offset(start * size as isize), src.add(done * size));
            copy_strided(size, dst, step, src, size as isize, run);
        }
        done += run;
    });
    Ok(true)
}
