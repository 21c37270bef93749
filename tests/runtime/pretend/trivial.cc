// Kernels by the kernel binary interface, small enough to be read at a glance: what the tests of the driver launch.
#include <cstddef>
#include <cstring>

#ifndef ARCHITECTURE
#define ARCHITECTURE 87
#endif

extern "C" {
extern const int dis2_architecture;
const int dis2_architecture = ARCHITECTURE;

// scale(float* values, int count, float factor)
int scale__launch(const unsigned grid[3], const unsigned block[3], unsigned, void* const*, const unsigned char* packed,
                  std::size_t bytes) {
    float* values;
    int count;
    float factor;
    if (!packed || bytes != 16) return 1;
    std::memcpy(&values, packed, 8);
    std::memcpy(&count, packed + 8, 4);
    std::memcpy(&factor, packed + 12, 4);
    const unsigned threads = grid[0] * block[0];
    for (int i = 0; i < count && i < static_cast<int>(threads); ++i) values[i] *= factor;
    return 0;
}

// spread(char small, double wide, short middle, char* out): shows where each argument stands.
int spread__launch(const unsigned*, const unsigned*, unsigned shared, void* const*, const unsigned char* packed,
                   std::size_t bytes) {
    double* out;
    short middle;
    if (!packed || bytes != 32) return 1;
    std::memcpy(&out, packed + 24, 8);
    std::memcpy(&middle, packed + 16, 2);
    std::memcpy(&out[1], packed + 8, 8);
    out[0] = static_cast<signed char>(packed[0]);
    out[2] = middle;
    out[3] = shared;
    return 0;
}

// overrun(float* values, int count): writes one value too many.
int overrun__launch(const unsigned*, const unsigned*, unsigned, void* const*, const unsigned char* packed, std::size_t) {
    float* values;
    int count;
    std::memcpy(&values, packed, 8);
    std::memcpy(&count, packed + 8, 4);
    for (int i = 0; i <= count; ++i) values[i] = 1;
    return 0;
}

// broken(): a launch that fails on the way.
int broken__launch(const unsigned*, const unsigned*, unsigned, void* const*, const unsigned char*, std::size_t) {
    return 719;
}
}
