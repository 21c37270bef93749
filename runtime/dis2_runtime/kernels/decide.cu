// decide: logits (K, N) to mask, confidence and a count of pixels a class, in one pass.
//
// Ladder
//   1  argmax, then softmax, then bincount, as plain NumPy or torch does: reads the logits three times, writes K N floats.
//   2  one thread a pixel, running maximum and running sum (online softmax): logits read once, no intermediate written.
//      A thread reads 4 bytes a class, though, and one shared atomic a pixel piles up where a picture is all one class.
//   3  (this) a thread owns 4 neighbours: 16-byte reads of floats (8 of halves), 4-byte writes; a warp counts each class by
//      ballot, so that one lane adds once a class; blocks stride over the picture, so that few add to global memory.
//
// Floor: N (K sizeof(logit) + 2) bytes against the memory's bandwidth; at K = 5, 512x512 and floats 5.8 MB: 1.7 us at the
// 3.35 TB/s of an H100, 28 us at the 204.8 GB/s of an AGX Orin. Some 21 instructions a logit, counted in what nvcc makes for
// sm_90 (13 to hear it, without a branch; 8 to count its class): 0.9 us and 10 us, beside the memory.
#include "device.cuh"

constexpr int THREADS = 256;
constexpr float LOG2_E = 1.44269504f;
constexpr float LARGEST = 3.402823466e38f;

DIS2_DEVICE void take(float (&to)[4], const float* from) {
    float4 four = load_once(reinterpret_cast<const float4*>(from));
    to[0] = four.x, to[1] = four.y, to[2] = four.z, to[3] = four.w;
}

DIS2_DEVICE void take(float (&to)[4], const half* from) {
    uint2 four = load_once(reinterpret_cast<const uint2*>(from));
    unpack(four.x, to[0], to[1]), unpack(four.y, to[2], to[3]);
}

DIS2_DEVICE void take(float (&to)[1], const float* from) { to[0] = load_once(from); }
DIS2_DEVICE void take(float (&to)[1], const half* from) { to[0] = to_float(load_once(from)); }

// What is known of one pixel after some of its classes.
struct Pixel {
    float best, sum;  // largest logit so far; sum of e^(logit - best)
    int index;

    DIS2_DEVICE void begin(float logit) { best = logit, sum = 1.0f, index = 0; }

    // No branch: what would need one matters only to sums that nobody asks for, as their best is not finite.
    DIS2_DEVICE void hear(float logit, int number) {
        bool larger = !(logit <= best) && best == best;               // the first NaN wins, as in NumPy's argmax
        float apart = fmaxf(logit, -LARGEST) - fmaxf(best, -LARGEST);  // two of -infinity are no NaN apart
        float share = exp2_of(-fabsf(apart) * LOG2_E);
        sum = larger ? sum * share + 1.0f : sum + share;
        best = larger ? logit : best, index = larger ? number : index;
    }

    // 255 for certain; 0 where the logits are not finite, and so say nothing.
    DIS2_DEVICE unsigned confidence() const {
        bool finite = best <= LARGEST && best >= -LARGEST;
        return finite ? static_cast<unsigned>(255.0f / sum + 0.5f) : 0u;
    }
};

template <typename T, int WIDE>
DIS2_DEVICE void hear_all(Pixel (&own)[WIDE], const T* logits, int classes, int pixels) {
#pragma unroll 4
    for (int k = 0; k < classes; ++k) {
        float seen[WIDE];
        take(seen, logits + static_cast<size_t>(k) * pixels);
        for (int i = 0; i < WIDE; ++i) if (k == 0) own[i].begin(seen[i]); else own[i].hear(seen[i], k);
    }
}

template <int WIDE> DIS2_DEVICE void tell(const Pixel (&own)[WIDE], uint8_t* mask, uint8_t* confidence) {
    uint32_t found = 0, certain = 0;  // the first pixel in the lowest byte
    for (int i = 0; i < WIDE; ++i) found |= own[i].index << (8 * i), certain |= own[i].confidence() << (8 * i);
    if constexpr (WIDE == 4) {
        *reinterpret_cast<uint32_t*>(mask) = found;
        *reinterpret_cast<uint32_t*>(confidence) = certain;
    } else {
        *mask = static_cast<uint8_t>(found), *confidence = static_cast<uint8_t>(certain);
    }
}

template <typename T, int WIDE>
DIS2_DEVICE void decide(const T* logits, uint8_t* mask, uint8_t* confidence, int* counts, int classes, int pixels) {
    DIS2_SHARED(int, counted);  // [classes]
    for (int k = threadIdx.x; k < classes; k += THREADS) counted[k] = 0;
    block_barrier();
    int lane = threadIdx.x % 32, step = gridDim.x * THREADS * WIDE;
    for (int first = blockIdx.x * THREADS * WIDE; first < pixels; first += step) {  // the same for the whole block
        int place = first + threadIdx.x * WIDE;
        bool inside = place < pixels;  // WIDE divides `pixels`
        Pixel own[WIDE];
        if (inside) {
            hear_all<T, WIDE>(own, logits + place, classes, pixels);
            tell<WIDE>(own, mask + place, confidence + place);
        }
        for (int k = 0; k < classes; ++k) {
            int of_class = 0;
            for (int i = 0; i < WIDE; ++i) of_class += votes(inside && own[i].index == k);
            if (lane == 0 && of_class) atomicAdd(counted + k, of_class);
        }
    }
    block_barrier();
    for (int k = threadIdx.x; k < classes; k += THREADS) if (counted[k]) atomicAdd(counts + k, counted[k]);
}

#define DECIDE(name, T, WIDE)                                                                                            \
    DIS2_KERNEL(name, 256)(const T* logits, uint8_t* mask, uint8_t* confidence, int* counts, int classes, int pixels) { \
        decide<T, WIDE>(logits, mask, confidence, counts, classes, pixels);                                              \
    }

DECIDE(decide_f32_x4, float, 4)
DECIDE(decide_f32_x1, float, 1)
DECIDE(decide_f16_x4, half, 4)
DECIDE(decide_f16_x1, half, 1)
