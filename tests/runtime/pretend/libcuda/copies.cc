// Copies and fills. Page-locked memory is read and written when the stream comes to it, as on a GPU; other memory is
// read at once, and written only after the stream has been waited for.
#include "streams.hh"

#include <cstring>

using namespace pretend;

namespace {

void* host(CUdeviceptr address) { return reinterpret_cast<void*>(address); }

CUresult unfit_for_capture(CUstream stream, const char* call) {
    Lock lock(mutex());
    if (!capturing(stream)) return CUDA_SUCCESS;
    stream->capture->broken = true;
    return misuse(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, std::string(call) + " of pageable memory while captured");
}

// The memory may have been freed between the call and its turn.
CUresult still(CUdeviceptr address, std::size_t bytes, const char* call) {
    Lock lock(mutex());
    return check_device(address, bytes, call) ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_SUCCESS;
}

CUresult copy_in(CUdeviceptr target, const void* source, std::size_t bytes, CUstream stream, const char* call) {
    bool locked = false;
    {
        Lock lock(mutex());
        if (CUresult wrong = check_device(target, bytes, call)) return wrong;
        locked = page_locked(source, bytes);
    }
    if (locked)
        return enqueue(stream, [=] {
            if (CUresult gone = still(target, bytes, call)) return gone;
            std::memcpy(host(target), source, bytes);
            return CUDA_SUCCESS;
        });
    if (CUresult unfit = unfit_for_capture(stream, call)) return unfit;
    const auto* begin = static_cast<const unsigned char*>(source);
    const auto staged = std::make_shared<std::vector<unsigned char>>(begin, begin + bytes);
    return enqueue(stream, [=] {
        if (CUresult gone = still(target, bytes, call)) return gone;
        std::memcpy(host(target), staged->data(), bytes);
        return CUDA_SUCCESS;
    });
}

CUresult copy_out(void* target, CUdeviceptr source, std::size_t bytes, CUstream stream, const char* call) {
    bool locked = false;
    {
        Lock lock(mutex());
        if (CUresult wrong = check_device(source, bytes, call)) return wrong;
        locked = page_locked(target, bytes);
    }
    const Work work = [=] {
        if (CUresult gone = still(source, bytes, call)) return gone;
        std::memcpy(target, host(source), bytes);
        return CUDA_SUCCESS;
    };
    if (locked) return enqueue(stream, work);
    if (CUresult unfit = unfit_for_capture(stream, call)) return unfit;
    if (CUresult failed = enqueue(stream, work)) return failed;
    return drain(stream);
}

CUresult copy_inside(CUdeviceptr target, CUdeviceptr source, std::size_t bytes, CUstream stream, const char* call) {
    {
        Lock lock(mutex());
        if (CUresult wrong = check_device(target, bytes, call)) return wrong;
        if (CUresult wrong = check_device(source, bytes, call)) return wrong;
    }
    return enqueue(stream, [=] {
        if (CUresult gone = still(target, bytes, call)) return gone;
        if (CUresult gone = still(source, bytes, call)) return gone;
        std::memmove(host(target), host(source), bytes);
        return CUDA_SUCCESS;
    });
}

template <class Value>
CUresult fill(CUdeviceptr target, Value value, std::size_t number, CUstream stream, const char* call) {
    {
        Lock lock(mutex());
        if (target % sizeof(Value)) return misuse(CUDA_ERROR_INVALID_VALUE, std::string(call) + ": misaligned address");
        if (CUresult wrong = check_device(target, number * sizeof(Value), call)) return wrong;
    }
    return enqueue(stream, [=] {
        if (CUresult gone = still(target, number * sizeof(Value), call)) return gone;
        auto* at = static_cast<Value*>(host(target));
        for (std::size_t i = 0; i < number; ++i) at[i] = value;
        return CUDA_SUCCESS;
    });
}

}  // namespace

// Each call: let in, in a scope that gives the lock back before any work runs.
#define LET_IN(call)           \
    do {                       \
        PRETEND_ENTER(call);   \
    } while (false)
#define LET_IN_UNCAPTURED(call) \
    do {                        \
        PRETEND_ENTER(call);    \
        if (CUresult refused = refuse_in_capture(#call)) return refused; \
    } while (false)

extern "C" {

CUresult cuMemcpyHtoDAsync(CUdeviceptr target, const void* source, std::size_t bytes, CUstream stream) {
    LET_IN(cuMemcpyHtoDAsync);
    return copy_in(target, source, bytes, stream, "cuMemcpyHtoDAsync");
}

CUresult cuMemcpyDtoHAsync(void* target, CUdeviceptr source, std::size_t bytes, CUstream stream) {
    LET_IN(cuMemcpyDtoHAsync);
    return copy_out(target, source, bytes, stream, "cuMemcpyDtoHAsync");
}

CUresult cuMemcpyDtoDAsync(CUdeviceptr target, CUdeviceptr source, std::size_t bytes, CUstream stream) {
    LET_IN(cuMemcpyDtoDAsync);
    return copy_inside(target, source, bytes, stream, "cuMemcpyDtoDAsync");
}

CUresult cuMemcpyHtoD(CUdeviceptr target, const void* source, std::size_t bytes) {
    LET_IN_UNCAPTURED(cuMemcpyHtoD);
    return copy_in(target, source, bytes, nullptr, "cuMemcpyHtoD");
}

CUresult cuMemcpyDtoH(void* target, CUdeviceptr source, std::size_t bytes) {
    LET_IN_UNCAPTURED(cuMemcpyDtoH);
    return copy_out(target, source, bytes, nullptr, "cuMemcpyDtoH");
}

CUresult cuMemcpyDtoD(CUdeviceptr target, CUdeviceptr source, std::size_t bytes) {
    LET_IN_UNCAPTURED(cuMemcpyDtoD);
    return copy_inside(target, source, bytes, nullptr, "cuMemcpyDtoD");
}

CUresult cuMemsetD8Async(CUdeviceptr target, unsigned char value, std::size_t number, CUstream stream) {
    LET_IN(cuMemsetD8Async);
    return fill(target, value, number, stream, "cuMemsetD8Async");
}

CUresult cuMemsetD16Async(CUdeviceptr target, unsigned short value, std::size_t number, CUstream stream) {
    LET_IN(cuMemsetD16Async);
    return fill(target, value, number, stream, "cuMemsetD16Async");
}

CUresult cuMemsetD32Async(CUdeviceptr target, unsigned value, std::size_t number, CUstream stream) {
    LET_IN(cuMemsetD32Async);
    return fill(target, value, number, stream, "cuMemsetD32Async");
}

CUresult cuMemsetD8(CUdeviceptr target, unsigned char value, std::size_t number) {
    LET_IN_UNCAPTURED(cuMemsetD8);
    return fill(target, value, number, nullptr, "cuMemsetD8");
}

CUresult cuMemsetD32(CUdeviceptr target, unsigned value, std::size_t number) {
    LET_IN_UNCAPTURED(cuMemsetD32);
    return fill(target, value, number, nullptr, "cuMemsetD32");
}
}
