// prepare: a sensor's frame HWC to (x - mean) / std in CHW with its holes filled, and what health wants to know of it.
//
// Ladder
//   1  as NumPy does: find holes, fill a copy, subtract, divide, turn over, cast; then sums over it all. Ten passes.
//   2  one thread a pixel and channel, everything at once: the frame is read once, but bytes are read and halves written
//      one by one, and an atomic a value for the sums would make those of floats differ from run to run.
//   3  a thread takes 8 pixels of 1 to 4 channels in reads of 8 or 16 bytes and keeps them in registers, so that a channel
//      leaves in stores of 16 bytes (8 of int8). Tallies stay in registers too; a warp joins them once at its end by
//      reduction instructions, a block by shared memory, and a second, tiny launch joins the blocks: always in the same
//      order. Integers are summed exactly; floats are summed normalised, which loses nothing to a large mean.
//   4  (this) integers are divided by multiplying, with two exact corrections: less than half the instructions of 3.
//      Other frames (more channels, a count of pixels that 8 does not divide, odd addresses) take a pixel a thread.
//
// Floor: H W C (bytes in + bytes out): three channels of bytes to halves at 512x512 2.4 MB: 0.7 us at the 3.35 TB/s of an
// H100, 12 us at the 204.8 GB/s of an AGX Orin. 35 instructions a value of integers, 27 of floats, counted once round the loop
// in what nvcc 13.0 makes for sm_87 and sm_90: 28 M, which an AGX Orin issues in 10 us, beside the memory, and an H100 in
// 0.9 us: there they are the floor. Do not compile with fast math: the results are NumPy's own.
#include "device.cuh"

constexpr int THREADS = 256, WARPS = THREADS / 32;
constexpr int WIDE = 8;  // pixels of a thread at a time

enum Target { FLOATS, HALVES, BYTES };

DIS2_DEVICE float infinity() { return __uint_as_float(0x7f800000u); }

// How values are read, compared and summed: a thread hears at most 32,768 values of a channel, and no sum of theirs wraps.
template <typename T> struct Kind {
    using Value = unsigned;
    using Sum = uint32_t;
    using Squares = uint64_t;
    using Total = uint64_t;
    static constexpr unsigned LAST = static_cast<T>(-1);
    DIS2_DEVICE static Value read(const uint32_t* words, int i) {
        constexpr int each = 4 / sizeof(T);
        return words[i / each] >> (i % each * 8 * sizeof(T)) & LAST;
    }
    DIS2_DEVICE static Value top() { return 0xffffffffu; }
    DIS2_DEVICE static Value bottom() { return 0; }
};

template <> struct Kind<float> {
    using Value = float;
    using Sum = float;
    using Squares = float;
    using Total = double;
    DIS2_DEVICE static Value read(const uint32_t* words, int i) { return __uint_as_float(words[i]); }
    DIS2_DEVICE static Value top() { return infinity(); }
    DIS2_DEVICE static Value bottom() { return -infinity(); }
};

// What was seen of one channel. `first` counts the pixels whose first hole is in it, so that all channels' together count
// the pixels with a hole; `lowest` and `highest` count values at the ends of an integer type; floats are summed normalised.
template <typename T, typename Sum, typename Squares = Sum> struct Tally {
    using Value = typename Kind<T>::Value;
    unsigned holes = 0, first = 0, lowest = 0, highest = 0;
    Sum sum = 0;
    Squares squares = 0;
    Value least = Kind<T>::top(), most = Kind<T>::bottom();

    DIS2_DEVICE void hear(unsigned value, float, bool good) {
        unsigned kept = good ? value : 0;
        sum += kept, squares += static_cast<Squares>(kept) * kept;
        lowest += good && value == 0, highest += kept == Kind<T>::LAST;
        range(good ? value : Kind<T>::top(), kept);
    }

    DIS2_DEVICE void hear(float value, float normal, bool good) {  // a hole is 0 by now
        sum += normal, squares += normal * normal;
        range(good ? value : Kind<T>::top(), good ? value : Kind<T>::bottom());
    }

    DIS2_DEVICE void range(Value low, Value high) {
        least = low < least ? low : least, most = high > most ? high : most;
    }

    DIS2_DEVICE void join(const Tally& other) {
        holes += other.holes, first += other.first, lowest += other.lowest, highest += other.highest;
        sum += other.sum, squares += other.squares;
        range(other.least, other.most);
    }
};

template <typename T> using Own = Tally<T, typename Kind<T>::Sum, typename Kind<T>::Squares>;  // a thread's
template <typename T> using Whole = Tally<T, typename Kind<T>::Total>;                         // a block's, a frame's

template <typename Integer> DIS2_DEVICE uint64_t all_of_warp(Integer value, uint64_t) {  // 16 bits at a time: none wraps
    uint64_t sum = 0;
    for (unsigned shift = 0; shift < 8 * sizeof(Integer); shift += 16)
        sum += static_cast<uint64_t>(warp_sum(static_cast<unsigned>(value >> shift) & 0xffffu)) << shift;
    return sum;
}

template <typename Real> DIS2_DEVICE double all_of_warp(Real value, double) {
    for (int step = 16; step; step /= 2) value += shuffle_xor(value, step);
    return value;
}

// Floats in an order of unsigned numbers, and back.
DIS2_DEVICE unsigned ordered(unsigned value) { return value; }
DIS2_DEVICE unsigned ordered(float value) {
    unsigned bits = __float_as_uint(value);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
DIS2_DEVICE void restore(unsigned& value, unsigned from) { value = from; }
DIS2_DEVICE void restore(float& value, unsigned from) {
    value = __uint_as_float(from & 0x80000000u ? from ^ 0x80000000u : ~from);
}

// Leave what this warp has heard of a channel in `kept`.
template <typename T, typename Heard> DIS2_DEVICE void leave(Whole<T>* kept, const Heard& own, int channel) {
    Whole<T> all;
    all.holes = warp_sum(own.holes), all.first = warp_sum(own.first);
    all.lowest = warp_sum(own.lowest), all.highest = warp_sum(own.highest);
    all.sum = all_of_warp(own.sum, all.sum), all.squares = all_of_warp(own.squares, all.squares);
    restore(all.least, warp_least(ordered(own.least))), restore(all.most, warp_most(ordered(own.most)));
    if (threadIdx.x % 32 == 0) kept[channel * WARPS + threadIdx.x / 32] = all;
}

// The block's tallies, a channel behind another, from those that its warps have left.
template <typename T> DIS2_DEVICE void join_block(const Whole<T>* kept, Whole<T>* to, int channels) {
    for (int c = threadIdx.x; c < channels; c += THREADS) {
        Whole<T> all;
        for (int warp = 0; warp < WARPS; ++warp) all.join(kept[c * WARPS + warp]);
        to[c] = all;
    }
}

// What divides, and 1 over it.
struct Divisor { float value, inverse; };

// x / by, correctly rounded. Integers lead to no extreme quotients (the launcher sees to that), and then two corrections
// by the exact remainder make a product with the inverse as good as a division, at half its cost.
template <typename T> DIS2_DEVICE float quotient(float x, Divisor by) {
    float guess = x * by.inverse;
    guess = fmaf(fmaf(-guess, by.value, x), by.inverse, guess);
    return fmaf(fmaf(-guess, by.value, x), by.inverse, guess);
}
template <> DIS2_DEVICE float quotient<float>(float x, Divisor by) { return x / by.value; }

// A channel: what is taken off, what divides, what a hole becomes.
struct Channel { float mean; Divisor std; float filling; };

DIS2_DEVICE Channel channel_at(const float4* channels, int c) {
    float4 told = channels[c];
    return {told.x, {told.y, told.z}, told.w};
}

template <typename T> DIS2_DEVICE int byte_of(float normal, Divisor scale) {  // the limits are whole: clip, then round
    return __float2int_rn(fminf(fmaxf(quotient<T>(normal, scale), -128.0f), 127.0f)) & 0xff;
}

template <typename T>
DIS2_DEVICE void put_eight(void* target, size_t place, const float (&normal)[WIDE], int kind, Divisor scale) {
    if (kind == HALVES) {
        *reinterpret_cast<uint4*>(static_cast<half*>(target) + place) =
            make_uint4(pack(normal[0], normal[1]), pack(normal[2], normal[3]), pack(normal[4], normal[5]),
                       pack(normal[6], normal[7]));
    } else if (kind == FLOATS) {
        float4* to = reinterpret_cast<float4*>(static_cast<float*>(target) + place);
        to[0] = make_float4(normal[0], normal[1], normal[2], normal[3]);
        to[1] = make_float4(normal[4], normal[5], normal[6], normal[7]);
    } else {
        uint32_t words[2] = {};
        for (int i = 0; i < WIDE; ++i) words[i / 4] |= static_cast<uint32_t>(byte_of<T>(normal[i], scale)) << i % 4 * 8;
        *reinterpret_cast<uint2*>(static_cast<int8_t*>(target) + place) = make_uint2(words[0], words[1]);
    }
}

template <typename T> DIS2_DEVICE void put_one(void* target, size_t place, float normal, int kind, Divisor scale) {
    if (kind == HALVES) static_cast<half*>(target)[place] = to_half(normal);
    else if (kind == FLOATS) static_cast<float*>(target)[place] = normal;
    else static_cast<int8_t*>(target)[place] = static_cast<int8_t>(byte_of<T>(normal, scale));
}

template <int COUNT> DIS2_DEVICE void take_words(uint32_t (&to)[COUNT], const void* from) {
    if constexpr (COUNT % 4 == 0) {
        for (int i = 0; i < COUNT; i += 4) {
            uint4 four = load_once(static_cast<const uint4*>(from) + i / 4);
            to[i] = four.x, to[i + 1] = four.y, to[i + 2] = four.z, to[i + 3] = four.w;
        }
    } else {
        for (int i = 0; i < COUNT; i += 2) {
            uint2 two = load_once(static_cast<const uint2*>(from) + i / 2);
            to[i] = two.x, to[i + 1] = two.y;
        }
    }
}

template <typename T, int CHANNELS>
DIS2_DEVICE void prepare_wide(const T* frame, void* target, Whole<T>* parts, const float4* channels,
                              typename Kind<T>::Value low, typename Kind<T>::Value high, int pixels, int kind,
                              Divisor scale) {
    DIS2_SHARED(Whole<T>, kept);  // [CHANNELS][WARPS]
    Own<T> own[CHANNELS];
    for (int place = (blockIdx.x * THREADS + threadIdx.x) * WIDE; place < pixels; place += gridDim.x * THREADS * WIDE) {
        uint32_t words[CHANNELS * WIDE * sizeof(T) / 4];
        take_words(words, frame + static_cast<size_t>(place) * CHANNELS);
        uint32_t before = 0;  // bit i: pixel i has a hole in an earlier channel
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) {
            Channel of = channel_at(channels, c);
            float normal[WIDE];
            uint32_t bad = 0;
#pragma unroll
            for (int i = 0; i < WIDE; ++i) {
                auto value = Kind<T>::read(words, i * CHANNELS + c);
                bool good = value >= low && value <= high;  // NaN compares false
                normal[i] = quotient<T>((good ? static_cast<float>(value) : of.filling) - of.mean, of.std);
                own[c].hear(value, normal[i], good);
                bad |= static_cast<unsigned>(!good) << i;
            }
            own[c].holes += bits_set(bad), own[c].first += bits_set(bad & ~before), before |= bad;
            put_eight<T>(target, static_cast<size_t>(c) * pixels + place, normal, kind, scale);
        }
    }
    for (int c = 0; c < CHANNELS; ++c) leave<T>(kept, own[c], c);
    block_barrier();
    join_block<T>(kept, parts + blockIdx.x * CHANNELS, CHANNELS);
}

template <typename T>
DIS2_DEVICE void prepare_any(const T* frame, void* target, Whole<T>* parts, const float4* channels,
                             typename Kind<T>::Value low, typename Kind<T>::Value high, int pixels, int kind,
                             Divisor scale, int count) {
    DIS2_SHARED(Whole<T>, kept);  // [count][WARPS]
    for (int c = 0; c < count; ++c) {
        Channel of = channel_at(channels, c);
        Own<T> own;
        for (int place = blockIdx.x * THREADS + threadIdx.x; place < pixels; place += gridDim.x * THREADS) {
            const T* pixel = frame + static_cast<size_t>(place) * count;
            typename Kind<T>::Value value = pixel[c];
            bool good = value >= low && value <= high;
            float normal = quotient<T>((good ? static_cast<float>(value) : of.filling) - of.mean, of.std);
            put_one<T>(target, static_cast<size_t>(c) * pixels + place, normal, kind, scale);
            own.hear(value, normal, good);
            if (!good) {
                int before = 0;
                while (before < c && pixel[before] >= low && pixel[before] <= high) ++before;
                ++own.holes, own.first += before == c;
            }
        }
        leave<T>(kept, own, c);
    }
    block_barrier();
    join_block<T>(kept, parts + blockIdx.x * count, count);
}

// The tallies of all blocks joined, a block a channel.
template <typename T> DIS2_DEVICE void total(const Whole<T>* parts, Whole<T>* to, int blocks) {
    DIS2_SHARED(Whole<T>, kept);  // [WARPS]
    Whole<T> own;
    for (int i = threadIdx.x; i < blocks; i += THREADS) own.join(parts[i * gridDim.x + blockIdx.x]);
    leave<T>(kept, own, 0);
    block_barrier();
    join_block<T>(kept, to + blockIdx.x, 1);
}

#define GIVEN(T)                                                                                                   \
    const T *frame, void *target, Whole<T>*parts, const float4 *channels, Kind<T>::Value low, Kind<T>::Value high, \
        int pixels, int kind, float scale
#define TAKEN frame, target, parts, channels, low, high, pixels, kind, {scale, 1.0f / scale}

#define PREPARE_WIDE(name, T, CHANNELS) \
    DIS2_KERNEL(name, 256)(GIVEN(T)) { prepare_wide<T, CHANNELS>(TAKEN); }

#define PREPARE(name, T)                                                                           \
    PREPARE_WIDE(name##_c1, T, 1)                                                                  \
    PREPARE_WIDE(name##_c2, T, 2)                                                                  \
    PREPARE_WIDE(name##_c3, T, 3)                                                                  \
    PREPARE_WIDE(name##_c4, T, 4)                                                                  \
    DIS2_KERNEL(name##_any, 256)(GIVEN(T), int count) { prepare_any<T>(TAKEN, count); }            \
    DIS2_KERNEL(name##_total, 256)(const Whole<T>* parts, Whole<T>* to, int blocks) { total<T>(parts, to, blocks); }

PREPARE(prepare_u8, uint8_t)
PREPARE(prepare_u16, uint16_t)
PREPARE(prepare_f32, float)
