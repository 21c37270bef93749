// The words that our kernels are written in. On a GPU each is one instruction or a few; on a CPU (tests) the machine of
// tests/runtime/kernels/shim gives each the same meaning, and the freedom that the hardware has is used against us.
#pragma once

#if defined(DIS2_LISTING)
// Nothing: what is left of DIS2_KERNEL after the preprocessor lists the kernels.
#elif !defined(__CUDACC__)
#include "words.h"
#else

#include <cuda_fp16.h>
#include <stdint.h>

// A kernel for blocks of `threads` threads, found by its plain name in the module. Four warps a scheduler are enough to hide
// what an instruction waits for: it may take the registers (128) that leave room for so many, and need not spill for more.
#define DIS2_KERNEL(name, threads) extern "C" __global__ void __launch_bounds__(threads, threads < 512 ? 512 / threads : 1) name
// The block's dynamic shared memory as `type* name`; its size is the launcher's to give.
#define DIS2_SHARED(type, name)                                   \
    extern __shared__ __align__(16) unsigned char dis2_shared_[]; \
    type* name = reinterpret_cast<type*>(dis2_shared_)
#define DIS2_DEVICE __device__ __forceinline__

// All threads of the block have come here, and what they wrote before is seen.
#define block_barrier() __syncthreads()

DIS2_DEVICE float to_float(half value) { return __half2float(value); }
DIS2_DEVICE half to_half(float value) { return __float2half_rn(value); }

// Two halves in a register, the first in the lower 16 bits.
DIS2_DEVICE uint32_t pack(float low, float high) {
    half2 both = __floats2half2_rn(low, high);
    return *reinterpret_cast<uint32_t*>(&both);
}

DIS2_DEVICE void unpack(uint32_t both, float& low, float& high) {
    float2 two = __half22float2(*reinterpret_cast<half2*>(&both));
    low = two.x, high = two.y;
}

// 2^x, to about a part in 2^22.
DIS2_DEVICE float exp2_of(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// The value that the lane with the number of this one, xor `mask`, holds; all 32 lanes call it.
template <typename T> DIS2_DEVICE T shuffle_xor(T value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }

// The value that lane `lane` holds; all 32 lanes call it.
template <typename T> DIS2_DEVICE T shuffle(T value, int lane) { return __shfl_sync(0xffffffffu, value, lane); }

// How many lanes say `yes`; all 32 lanes call it.
DIS2_DEVICE int votes(bool yes) { return __popc(__ballot_sync(0xffffffffu, yes)); }

// Of the values that the 32 lanes hold: their sum (it wraps), the least, the largest; all of them call it.
DIS2_DEVICE unsigned warp_sum(unsigned value) { return __reduce_add_sync(0xffffffffu, value); }
DIS2_DEVICE unsigned warp_least(unsigned value) { return __reduce_min_sync(0xffffffffu, value); }
DIS2_DEVICE unsigned warp_most(unsigned value) { return __reduce_max_sync(0xffffffffu, value); }

// How many bits are 1.
DIS2_DEVICE int bits_set(uint32_t bits) { return __popc(bits); }

// c += a b over a warp: a is 16x16, b 16x8 halves, c 16x8 floats, spread over the lanes as PTX lays them out.
DIS2_DEVICE void mma_16x8x16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// The same for signed bytes: a is 16x32, b 32x8, c 16x8 int32.
DIS2_DEVICE void mma_16x8x32(int (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four 8x8 matrices of halves out of shared memory; lane 8 i + r gives the address of row r of matrix i (16 bytes).
DIS2_DEVICE void load_matrices(uint32_t (&to)[4], const void* row) {
    unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
}

// The same, each matrix transposed.
DIS2_DEVICE void load_matrices_transposed(uint32_t (&to)[4], const void* row) {
    unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
}

// Begin to copy 16 bytes from global to shared memory, both aligned to 16; zeros where not `valid`.
DIS2_DEVICE void copy_async(void* to, const void* from, bool valid) {
    unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(to));
    int bytes = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(bytes) : "memory");
}

// Close the group of copies that this thread has begun.
DIS2_DEVICE void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Wait until at most `pending` groups of this thread are under way; others see the bytes after a block_barrier.
template <int pending> DIS2_DEVICE void copy_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory"); }

// A value that is read once: it need not stay in the cache.
template <typename T> DIS2_DEVICE T load_once(const T* from) { return __ldcs(from); }

#endif
