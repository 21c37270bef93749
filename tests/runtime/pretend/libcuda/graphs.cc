// Stream capture and graphs: a graph is the list of work that a stream was given while it was captured.
#include "streams.hh"

#include <set>

struct CUgraphExec_st {
    std::vector<pretend::Work> nodes;
};

namespace pretend {
namespace {
std::set<CUgraph> graphs;
std::set<CUgraphExec> executables;
}  // namespace

void forget_graphs() {
    for (CUgraph graph : graphs) delete graph;
    for (CUgraphExec executable : executables) delete executable;
    graphs.clear();
    executables.clear();
}

}  // namespace pretend

using namespace pretend;

extern "C" {

CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode) {
    PRETEND_ENTER(cuStreamBeginCapture);
    if (legacy(stream)) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (CUresult unknown = known(stream)) return unknown;
    if (stream->capture) return CUDA_ERROR_ILLEGAL_STATE;
    auto* graph = new CUgraph_st;
    stream->capture = std::make_shared<Capture>(Capture{graph, stream, mode, std::this_thread::get_id(), false});
    return CUDA_SUCCESS;
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
    PRETEND_ENTER(cuStreamEndCapture);
    if (CUresult unknown = known(stream)) return unknown;
    if (!capturing(stream)) return CUDA_ERROR_ILLEGAL_STATE;
    const auto capture = stream->capture;
    if (capture->origin != stream) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
    if (capture->thread != std::this_thread::get_id() && capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    for (CUstream each : streams())
        if (each->capture == capture) each->capture.reset();
    *graph = nullptr;
    if (capture->broken) {
        delete capture->graph;
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    }
    graphs.insert(*graph = capture->graph);
    return CUDA_SUCCESS;
}

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* status) {
    PRETEND_ENTER(cuStreamIsCapturing);
    if (CUresult unknown = known(stream)) return unknown;
    *status = !capturing(stream)         ? CU_STREAM_CAPTURE_STATUS_NONE
              : stream->capture->broken ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                         : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    return CUDA_SUCCESS;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec* executable, CUgraph graph, unsigned long long) {
    PRETEND_ENTER(cuGraphInstantiateWithFlags);
    if (!graphs.count(graph)) return misuse(CUDA_ERROR_INVALID_HANDLE, "instantiated what is no graph");
    executables.insert(*executable = new CUgraphExec_st{graph->nodes});
    return CUDA_SUCCESS;
}

CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
    std::vector<Work> nodes;
    {
        PRETEND_ENTER(cuGraphLaunch);
        if (!executables.count(executable)) return misuse(CUDA_ERROR_INVALID_HANDLE, "launched what is no graph");
        nodes = executable->nodes;
    }
    return enqueue(stream, [nodes] {
        for (const Work& node : nodes)
            if (CUresult failed = node()) return failed;
        return CUDA_SUCCESS;
    });
}

CUresult cuGraphUpload(CUgraphExec executable, CUstream) {
    PRETEND_ENTER(cuGraphUpload);
    return executables.count(executable) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuGraphDestroy(CUgraph graph) {
    PRETEND_ENTER(cuGraphDestroy);
    if (graphs.erase(graph) == 0) return misuse(CUDA_ERROR_INVALID_HANDLE, "destroyed what is no graph");
    delete graph;
    return CUDA_SUCCESS;
}

CUresult cuGraphExecDestroy(CUgraphExec executable) {
    PRETEND_ENTER(cuGraphExecDestroy);
    if (executables.erase(executable) == 0) return misuse(CUDA_ERROR_INVALID_HANDLE, "destroyed what is no graph");
    delete executable;
    return CUDA_SUCCESS;
}

// Graphs and executables that are not destroyed yet.
long pretend_graphs() {
    Lock lock(mutex());
    return static_cast<long>(graphs.size() + executables.size());
}
}
