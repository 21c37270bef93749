// Queues of work. Nothing of a stream is done before somebody waits for it: cuStreamSynchronize, cuEventSynchronize,
// cuCtxSynchronize, a free; a query does one piece of work, so that polling comes to an end.
#include "streams.hh"

#include <algorithm>
#include <chrono>
#include <condition_variable>

struct CUevent_st {
    bool timed;
    std::shared_ptr<pretend::Mark> mark;
};

namespace pretend {
namespace {

std::vector<CUevent> events;
std::condition_variable_any& turned() {
    static auto* one = new std::condition_variable_any;
    return *one;
}

double now_ms() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double, std::milli>(since).count();
}

// Does one piece of work, or waits for the thread that is doing one; false when nothing is left.
bool step(CUstream stream, Lock& lock) {
    if (stream->running) {
        if (stream->runner == std::this_thread::get_id()) return false;
        turned().wait(lock);
        return true;
    }
    if (stream->queue.empty()) return false;
    Work work = std::move(stream->queue.front());
    stream->queue.pop_front();
    if (stuck()) return true;
    stream->running = true;
    stream->runner = std::this_thread::get_id();
    lock.unlock();
    const CUresult result = work();
    lock.lock();
    stream->running = false;
    if (result) stick(result);
    turned().notify_all();
    return true;
}

CUresult drain_to(const std::shared_ptr<Mark>& mark) {
    Lock lock(mutex());
    while (!mark->done && !stuck() && std::count(streams().begin(), streams().end(), mark->stream))
        if (!step(mark->stream, lock)) break;
    return stuck();
}

CUresult drain_blocking() {
    for (std::size_t i = 0; i < streams().size(); ++i)
        if (streams()[i]->blocking)
            if (CUresult failed = drain(streams()[i])) return failed;
    return CUDA_SUCCESS;
}

CUresult break_capture(CUstream stream, CUresult code) {
    stream->capture->broken = true;
    return code;
}

bool known(CUevent event) { return std::count(events.begin(), events.end(), event) != 0; }

}  // namespace

bool legacy(CUstream stream) { return stream == nullptr || stream == CU_STREAM_LEGACY || stream == CU_STREAM_PER_THREAD; }

std::vector<CUstream>& streams() {
    static auto* all = new std::vector<CUstream>;
    return *all;
}

CUresult known(CUstream stream) {
    if (legacy(stream) || std::count(streams().begin(), streams().end(), stream)) return CUDA_SUCCESS;
    return misuse(CUDA_ERROR_INVALID_HANDLE, "no such stream (destroyed?)");
}

bool capturing(CUstream stream) { return !legacy(stream) && stream->capture; }

CUresult refuse_in_capture(const char* call) {
    for (CUstream stream : streams()) {
        const auto& capture = stream->capture;
        if (!capture || capture->mode == CU_STREAM_CAPTURE_MODE_RELAXED) continue;
        if (capture->thread != std::this_thread::get_id()) continue;
        capture->broken = true;
        return misuse(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, std::string(call) + " while a stream is captured");
    }
    return CUDA_SUCCESS;
}

CUresult enqueue(CUstream stream, Work work) {
    {
        Lock lock(mutex());
        if (CUresult unknown = known(stream)) return unknown;
        if (capturing(stream)) {
            stream->capture->graph->nodes.push_back(std::move(work));
            return CUDA_SUCCESS;
        }
        if (!legacy(stream)) {
            stream->queue.push_back(std::move(work));
            return CUDA_SUCCESS;
        }
    }
    if (CUresult failed = drain_blocking()) return failed;
    const CUresult result = work();
    return result ? stick(result) : CUDA_SUCCESS;
}

CUresult drain(CUstream stream) {
    if (legacy(stream)) return drain_blocking();
    Lock lock(mutex());
    while (step(stream, lock)) {
    }
    return stuck();
}

CUresult drain_all() {
    Lock lock(mutex());
    for (std::size_t i = 0; i < streams().size(); ++i)
        while (i < streams().size() && step(streams()[i], lock)) {
        }
    return stuck();
}

// Not deleted: a lost context's owner may hold on to them.
void forget_streams() {
    for (CUstream stream : streams()) {
        stream->queue.clear();
        stream->capture.reset();
    }
    streams().clear();
    events.clear();
}

}  // namespace pretend

using namespace pretend;

extern "C" {

CUresult cuStreamCreate(CUstream* stream, unsigned flags) {
    PRETEND_ENTER(cuStreamCreate);
    *stream = new CUstream_st{!(flags & CU_STREAM_NON_BLOCKING), {}, false, {}, {}};
    streams().push_back(*stream);
    return CUDA_SUCCESS;
}

CUresult cuStreamDestroy(CUstream stream) {
    {
        PRETEND_ENTER(cuStreamDestroy);
        if (CUresult unknown = known(stream)) return unknown;
    }
    const CUresult result = drain(stream);
    Lock lock(mutex());
    streams().erase(std::remove(streams().begin(), streams().end(), stream), streams().end());
    delete stream;
    return result;
}

CUresult cuStreamSynchronize(CUstream stream) {
    {
        PRETEND_ENTER(cuStreamSynchronize);
        if (CUresult unknown = known(stream)) return unknown;
        if (capturing(stream)) return break_capture(stream, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    }
    return drain(stream);
}

CUresult cuStreamQuery(CUstream stream) {
    PRETEND_ENTER(cuStreamQuery);
    if (CUresult unknown = known(stream)) return unknown;
    if (legacy(stream)) return CUDA_SUCCESS;
    if (capturing(stream)) return break_capture(stream, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    const bool ready = !stream->running && stream->queue.empty();
    if (!ready && !stream->running) step(stream, lock);
    if (stuck()) return stuck();
    return ready ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void* data) {
    {
        PRETEND_ENTER(cuLaunchHostFunc);
    }
    return enqueue(stream, [function, data] {
        function(data);
        return CUDA_SUCCESS;
    });
}

CUresult cuEventCreate(CUevent* event, unsigned flags) {
    PRETEND_ENTER(cuEventCreate);
    *event = new CUevent_st{!(flags & CU_EVENT_DISABLE_TIMING), nullptr};
    events.push_back(*event);
    return CUDA_SUCCESS;
}

CUresult cuEventDestroy(CUevent event) {
    PRETEND_ENTER(cuEventDestroy);
    if (!known(event)) return misuse(CUDA_ERROR_INVALID_HANDLE, "no such event (destroyed twice?)");
    events.erase(std::remove(events.begin(), events.end(), event), events.end());
    delete event;
    return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
    auto mark = std::make_shared<Mark>();
    {
        PRETEND_ENTER(cuEventRecord);
        if (!known(event)) return CUDA_ERROR_INVALID_HANDLE;
        if (CUresult unknown = known(stream)) return unknown;
        mark->stream = stream;
        event->mark = mark;
        if (capturing(stream)) {
            mark->capture = stream->capture;
            return CUDA_SUCCESS;
        }
    }
    return enqueue(stream, [mark] {
        mark->milliseconds = now_ms();
        mark->done = true;
        return CUDA_SUCCESS;
    });
}

CUresult cuEventSynchronize(CUevent event) {
    std::shared_ptr<Mark> mark;
    {
        PRETEND_ENTER(cuEventSynchronize);
        if (!known(event)) return CUDA_ERROR_INVALID_HANDLE;
        mark = event->mark;
        if (mark && mark->capture) return CUDA_ERROR_CAPTURED_EVENT;
    }
    return mark ? drain_to(mark) : CUDA_SUCCESS;
}

CUresult cuEventQuery(CUevent event) {
    PRETEND_ENTER(cuEventQuery);
    if (!known(event)) return CUDA_ERROR_INVALID_HANDLE;
    const auto mark = event->mark;
    if (!mark || mark->done) return CUDA_SUCCESS;
    if (mark->capture) return CUDA_ERROR_CAPTURED_EVENT;
    if (!mark->stream->running) step(mark->stream, lock);
    return stuck() ? stuck() : CUDA_ERROR_NOT_READY;
}

CUresult cuEventElapsedTime(float* milliseconds, CUevent begin, CUevent end) {
    PRETEND_ENTER(cuEventElapsedTime);
    for (CUevent event : {begin, end})
        if (!known(event) || !event->timed || !event->mark || event->mark->capture) return CUDA_ERROR_INVALID_HANDLE;
    if (!begin->mark->done || !end->mark->done) return CUDA_ERROR_NOT_READY;
    *milliseconds = static_cast<float>(end->mark->milliseconds - begin->mark->milliseconds);
    return CUDA_SUCCESS;
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) {
    std::shared_ptr<Mark> mark;
    {
        PRETEND_ENTER(cuStreamWaitEvent);
        if (!known(event)) return CUDA_ERROR_INVALID_HANDLE;
        if (CUresult unknown = known(stream)) return unknown;
        mark = event->mark;
        if (!mark) return CUDA_SUCCESS;
        if (mark->capture && !legacy(stream)) {  // the other stream joins the capture
            stream->capture = mark->capture;
            return CUDA_SUCCESS;
        }
        if (capturing(stream)) return break_capture(stream, CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
    }
    return enqueue(stream, [mark] { return drain_to(mark); });
}

// Streams and events that are not destroyed yet.
long pretend_streams() {
    Lock lock(mutex());
    return static_cast<long>(streams().size());
}
long pretend_events() {
    Lock lock(mutex());
    return static_cast<long>(events.size());
}
}
