"""The model server: TensorFlow Serving's REST protocol, for clients that know nothing of us.

    protocol    the words of the protocol: paths, status codes, signatures, status and metadata documents   (pure)
    documents   a request's body as a JSON object                                                           (pure)
    tensors     a request's JSON into arrays, refused with TensorFlow Serving's own sentences               (pure)
    examples    the `examples` of classify and regress                                                      (pure)
    printing    arrays into JSON text, in the form in which TensorFlow Serving prints them                  (pure)
    versions    which versions stand in a folder, which of them are served, which labels they have
    faults      rehearsals: latency, errors, a crash, a slow start; off unless asked for
    metrics     counters under TensorFlow Serving's names
    environment what numpy and TensorFlow must find when they are imported
    savedmodel  the one module that knows TensorFlow: load a SavedModel, answer one request
    servable    a version that can be asked
    zygote      the process that imports TensorFlow once and forks one process for each version
    children    those processes, seen from the HTTP process;  frames: what is said between them
    app         the HTTP side
    server      puts them together: from a folder to a listening socket, and to a graceful end

One version is served by the process itself, with no hop. Several versions stand behind one HTTP process that does not
import TensorFlow; each has its own process, forked from the zygote, and is started again when it dies.
"""
