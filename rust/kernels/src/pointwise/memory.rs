//! Moving elements about: fills and strided copies.

/// An element as the movers see it: 16 bytes of any alignment.
type Wide = [u64; 2];

/// Writes the first `size` bytes of `value` `n` times.
///
/// # Panics
/// If `size` is not 1, 2, 4, 8 or 16.
///
/// # Safety
/// `dst` is valid for writing `size * n` bytes.
pub unsafe fn fill(size: usize, dst: *mut u8, value: &[u8; 16], n: usize) {
    // SAFETY: the caller's promise; reading `T` from 16 bytes stays inside them.
    unsafe {
        match size {
            1 => dst.write_bytes(value[0], n),
            2 => fill_with::<u16>(dst, value, n),
            4 => fill_with::<u32>(dst, value, n),
            8 => fill_with::<u64>(dst, value, n),
            16 => fill_with::<Wide>(dst, value, n),
            _ => panic!("elements of {size} bytes"),
        }
    }
}

/// # Safety
/// As for [`fill`].
unsafe fn fill_with<T: Copy>(dst: *mut u8, value: &[u8; 16], n: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let value = value.as_ptr().cast::<T>().read_unaligned();
        for i in 0..n {
            dst.cast::<T>().add(i).write_unaligned(value);
        }
    }
}

/// Copies `n` elements of `size` bytes; the strides are signed, in bytes, and 0 is allowed.
///
/// # Panics
/// If `size` is not 1, 2, 4, 8 or 16.
///
/// # Safety
/// Every element that the strides reach is valid for reading (`src`) or writing (`dst`), and the
/// two do not overlap.
pub unsafe fn copy_strided(
    size: usize,
    dst: *mut u8,
    dst_stride: isize,
    src: *const u8,
    src_stride: isize,
    n: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        match size {
            1 => copy_with::<u8>(dst, dst_stride, src, src_stride, n),
            2 => copy_with::<u16>(dst, dst_stride, src, src_stride, n),
            4 => copy_with::<u32>(dst, dst_stride, src, src_stride, n),
            8 => copy_with::<u64>(dst, dst_stride, src, src_stride, n),
            16 => copy_with::<Wide>(dst, dst_stride, src, src_stride, n),
            _ => panic!("elements of {size} bytes"),
        }
    }
}

/// # Safety
/// As for [`copy_strided`].
unsafe fn copy_with<T: Copy>(
    dst: *mut u8,
    dst_stride: isize,
    src: *const u8,
    src_stride: isize,
    n: usize,
) {
    let size = size_of::<T>() as isize;
    // SAFETY: the caller's promise.
    unsafe {
        if dst_stride == size && src_stride == size {
            dst.copy_from_nonoverlapping(src, n * size as usize);
        } else if dst_stride == size && src_stride == 0 && n > 0 {
            let value = src.cast::<T>().read_unaligned();
            for i in 0..n {
                dst.cast::<T>().add(i).write_unaligned(value);
            }
        } else {
            for i in 0..n as isize {
                let value = src.offset(i * src_stride).cast::<T>().read_unaligned();
                dst.offset(i * dst_stride).cast::<T>().write_unaligned(value);
            }
        }
    }
}
