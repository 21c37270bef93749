// The words of device.cuh on a CPU. Copies come as late or as early as the hardware might bring them, by the schedule.
#pragma once

#include <math.h>

#include "machine.h"

#define DIS2_KERNEL(name, threads) static void name
#define DIS2_SHARED(type, name) type* name = reinterpret_cast<type*>(dis2::block()->shared.get())
#define DIS2_DEVICE inline
#define __restrict__ __restrict
#define __device__
#define __forceinline__
#define __constant__ static const

#define threadIdx (dis2::block()->running->thread)
#define blockIdx (dis2::block()->index)
#define blockDim (dis2::block()->size)
#define gridDim (dis2::block()->grid)
#define block_barrier() dis2::barrier(__LINE__)

using half = _Float16;
struct alignas(16) uint4 { uint32_t x, y, z, w; };
struct alignas(8) uint2 { uint32_t x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) float2 { float x, y; };
inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }
inline uint2 make_uint2(uint32_t x, uint32_t y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }

inline float to_float(half value) { return static_cast<float>(value); }
inline half to_half(float value) { return static_cast<half>(value); }
inline float exp2_of(float x) {  // some schedules have the hardware's: what is tiny becomes 0, and the last bits are wrong
    float exact = exp2f(x);
    if (dis2::block()->seed % 2 == 0 || exact != exact || exact == INFINITY) return exact;
    if (x == 0.0f) return 1.0f;
    return exact < 1.17549435e-38f ? 0.0f : exact * (1.0f + (dis2::drawn() % 2 ? 2.0f : -2.0f) * 1.1920929e-7f);
}
template <typename T> inline T load_once(const T* from) { return *from; }
inline int __float2int_rn(float x) { return static_cast<int>(rintf(x)); }
inline unsigned __float_as_uint(float x) { unsigned bits; memcpy(&bits, &x, 4); return bits; }
inline float __uint_as_float(unsigned bits) { float x; memcpy(&x, &bits, 4); return x; }
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
template <typename T> inline T atomicAdd(T* at, T value) { dis2::Mute mute; dis2_races_touch(at, sizeof(T), 1, 1); T old = *at; *at = old + value; return old; }
template <typename T> inline T atomicMin(T* at, T value) { dis2::Mute mute; dis2_races_touch(at, sizeof(T), 1, 1); T old = *at; if (value < old) *at = value; return old; }
template <typename T> inline T atomicMax(T* at, T value) { dis2::Mute mute; dis2_races_touch(at, sizeof(T), 1, 1); T old = *at; if (value > old) *at = value; return old; }

inline uint32_t pack(float low, float high) {
    half both[2] = {to_half(low), to_half(high)};
    uint32_t bits;
    memcpy(&bits, both, 4);
    return bits;
}

inline void unpack(uint32_t bits, float& low, float& high) {
    half both[2];
    memcpy(both, &bits, 4);
    low = to_float(both[0]), high = to_float(both[1]);
}

namespace dis2 {

inline int lane() { return block()->running->number % WARP; }
inline float half_at(uint32_t bits, int place) { half both[2]; memcpy(both, &bits, 4); return to_float(both[place]); }
inline int byte_at(uint32_t bits, int place) { int8_t four[4]; memcpy(four, &bits, 4); return four[place]; }

template <typename T> struct Exchange { T value; int from; T found; };
template <typename T> inline T exchange(const char* what, int line, T value, int from) {
    Exchange<T> mine{value, from, value};
    together(what, line, &mine, [](Exchange<T>** all) { for (int i = 0; i < WARP; ++i) all[i]->found = all[all[i]->from % WARP]->value; });
    return mine.found;
}

// Tensor cores cut what does not fit where others round: some schedules do so at every addition.
inline int added(int a, int b) { return a + b; }
inline float added(float a, float b) {
    float sum = a + b;
    double exact = static_cast<double>(a) + b;
    if (block()->seed % 2 == 0 || !(fabs(exact) < 3e38)) return sum;
    return fabs(sum) > fabs(exact) ? nextafterf(sum, 0.0f) : sum;
}

// One matrix product of a warp; how fragments lie in the lanes is told in the PTX manual (mma.m16n8k16, m16n8k32).
template <typename C, int DEEP, typename Pick> struct Product {
    C (*c)[4];
    const uint32_t (*a)[4];
    const uint32_t (*b)[2];
    static void act(Product** all) {
        constexpr int each = DEEP / 8;  // elements in a register: 2 halves or 4 bytes
        C a_of[16][DEEP], b_of[DEEP][8];
        for (int lane = 0; lane < WARP; ++lane)
            for (int i = 0; i < each; ++i) {
                int row = lane / 4, deep = lane % 4 * each + i;
                for (int r = 0; r < 4; ++r) a_of[row + 8 * (r % 2)][deep + DEEP / 2 * (r / 2)] = Pick::at((*all[lane]->a)[r], i);
                for (int r = 0; r < 2; ++r) b_of[deep + DEEP / 2 * r][row] = Pick::at((*all[lane]->b)[r], i);
            }
        for (int lane = 0; lane < WARP; ++lane)
            for (int r = 0; r < 4; ++r) {
                int row = lane / 4 + 8 * (r / 2), column = lane % 4 * 2 + r % 2;
                C sum = (*all[lane]->c)[r];
                for (int k = 0; k < DEEP; ++k) sum = added(sum, a_of[row][k] * b_of[k][column]);
                (*all[lane]->c)[r] = sum;
            }
    }
};
struct Halves { static float at(uint32_t bits, int place) { return half_at(bits, place); } };
struct Bytes { static int at(uint32_t bits, int place) { return byte_at(bits, place); } };

struct Rows { const unsigned char* row; uint32_t (*to)[4]; };
inline void read_matrices(uint32_t (&to)[4], const void* row, bool transposed, int line) {
    Rows mine{static_cast<const unsigned char*>(row), &to};
    dis2_races_touch(row, 16, 0, 0);  // by the lane that gives its address
    if (reinterpret_cast<uintptr_t>(row) % 16) fail("ldmatrix of an address that is not aligned to 16 bytes");
    together(transposed ? "ldmatrix.trans" : "ldmatrix", line, &mine, [transposed](Rows** all) {
        for (int lane = 0; lane < WARP; ++lane)
            for (int i = 0; i < 4; ++i) {
                uint16_t two[2];
                for (int e = 0; e < 2; ++e) {
                    int row = transposed ? lane % 4 * 2 + e : lane / 4, column = transposed ? lane / 4 : lane % 4 * 2 + e;
                    memcpy(&two[e], all[8 * i + row]->row + 2 * column, 2);
                }
                memcpy(&(*all[lane]->to)[i], two, 4);
            }
    });
}

inline void finish(const Copy& copy) {
    Mute mute;
    if (copy.valid) memcpy(copy.to, copy.from, 16); else memset(copy.to, 0, 16);
}

}  // namespace dis2

template <typename T> inline T shuffle_xor(T value, int mask, int line = __builtin_LINE()) { return dis2::exchange("shuffle_xor", line, value, dis2::lane() ^ mask); }
template <typename T> inline T shuffle(T value, int lane, int line = __builtin_LINE()) { return dis2::exchange("shuffle", line, value, lane); }

inline int votes(bool yes, int line = __builtin_LINE()) {
    struct Vote { bool yes; int all; } vote{yes, 0};
    dis2::together("votes", line, &vote, [](Vote** all) {
        int count = 0;
        for (int i = 0; i < dis2::WARP; ++i) count += all[i]->yes;
        for (int i = 0; i < dis2::WARP; ++i) all[i]->all = count;
    });
    return vote.all;
}

template <typename Join> inline unsigned reduced(const char* what, int line, unsigned value, Join join) {
    dis2::together(what, line, &value, [join](unsigned** all) {
        unsigned joined = *all[0];
        for (int i = 1; i < dis2::WARP; ++i) joined = join(joined, *all[i]);
        for (int i = 0; i < dis2::WARP; ++i) *all[i] = joined;
    });
    return value;
}

inline unsigned warp_sum(unsigned value, int line = __builtin_LINE()) { return reduced("warp_sum", line, value, [](unsigned a, unsigned b) { return a + b; }); }
inline unsigned warp_least(unsigned value, int line = __builtin_LINE()) { return reduced("warp_least", line, value, [](unsigned a, unsigned b) { return a < b ? a : b; }); }
inline unsigned warp_most(unsigned value, int line = __builtin_LINE()) { return reduced("warp_most", line, value, [](unsigned a, unsigned b) { return a > b ? a : b; }); }
inline int bits_set(uint32_t bits) { return __builtin_popcount(bits); }

inline void mma_16x8x16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], int line = __builtin_LINE()) {
    using Mine = dis2::Product<float, 16, dis2::Halves>;
    Mine mine{&c, &a, &b};
    dis2::together("mma_16x8x16", line, &mine, Mine::act);
}

inline void mma_16x8x32(int (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], int line = __builtin_LINE()) {
    using Mine = dis2::Product<int, 32, dis2::Bytes>;
    Mine mine{&c, &a, &b};
    dis2::together("mma_16x8x32", line, &mine, Mine::act);
}

inline void load_matrices(uint32_t (&to)[4], const void* row, int line = __builtin_LINE()) { dis2::read_matrices(to, row, false, line); }
inline void load_matrices_transposed(uint32_t (&to)[4], const void* row, int line = __builtin_LINE()) { dis2::read_matrices(to, row, true, line); }

inline void copy_async(void* to, const void* from, bool valid) {
    if ((reinterpret_cast<uintptr_t>(to) | (valid ? reinterpret_cast<uintptr_t>(from) : 0)) % 16) dis2::fail("an asynchronous copy is not aligned to 16 bytes");
    dis2::Fibre* self = dis2::block()->running;
    dis2::Mute mute;
    if (valid) dis2_races_touch(from, 16, 0, 0);
    dis2_races_copy(to, 16, 1);
    memset(to, dis2::POISON, 16);  // until it has come, the place holds nothing that may be read
    self->copies.push_back({to, from, valid, self->group});
}

inline void copy_commit() {
    dis2::Fibre* self = dis2::block()->running;
    if (dis2::block()->seed % 4 == 3)  // some schedules have a fast memory
        for (dis2::Copy& copy : self->copies) dis2::finish(copy);
    ++self->group;
}

template <int pending> inline void copy_wait() {
    dis2::Fibre* self = dis2::block()->running;
    std::vector<dis2::Copy> left;
    for (const dis2::Copy& copy : self->copies)
        if (copy.group < self->group - pending) dis2::finish(copy), dis2_races_copy(copy.to, 16, 0);
        else left.push_back(copy);
    self->copies.swap(left);
}
