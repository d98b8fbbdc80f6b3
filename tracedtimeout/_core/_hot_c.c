/* The hot path, compiled: what _hot_py does in the common case, and nothing else.

   Each function looks first, and changes nothing as it looks. Whatever is not common (a subclass, a budget around it,
   options, a loop that was not seen yet, a wrong argument) it leaves to the function of the same name in _hot_py, which
   then does all of it. What is common is done in the order of _hot_py, with its undoing where a call fails.

   Who can interrupt: between two calls into Python nothing else runs, no signal's handler and no other thread. Where
   an allocation may start the garbage collector (3.11), or a destructor runs, nothing half done is visible but what
   _hot_py would show at the same line.

   Fields are the slots of the Python classes, at offsets read from their member descriptors as the module is loaded:
   Python code reads and writes the same objects. A slot owns its reference; NULL is a slot that was never set.

   All that this module holds for good is static: classes, functions, modules' dicts and names, never a timeout, a loop
   or a task; and dead objects, to be used again. So a second interpreter, or a second import, is refused with
   ImportError, and runs the Python.

   Conventions: -1 or NULL is a failure with an exception set, where nothing else is said. "New" is a reference that the
   caller owns. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#ifdef Py_GIL_DISABLED
#error "without the GIL, tracedtimeout runs the Python"
#endif

/* -- Releases of CPython ----------------------------------------------------------------------------------------- */

#if PY_VERSION_HEX >= 0x030D0000
/* Read what time.monotonic reads, without making a float; 0, and no exception, where that fails. */
static inline int read_monotonic(double *now)
{
    PyTime_t nanoseconds;
    if (PyTime_Monotonic(&nanoseconds) < 0) {
        PyErr_Clear();
        return 0;
    }
    *now = PyTime_AsSecondsDouble(nanoseconds);
    return 1;
}

/* New: the code that calls; or NULL. No frame object is made of it. */
static PyObject *calling_code(void)
{
    struct _PyInterpreterFrame *frame = PyThreadState_Get()->current_frame;
    return frame == NULL ? NULL : PyUnstable_InterpreterFrame_GetCode(frame);
}
#else
#define read_monotonic(now) 0
#define PyObject_ClearManagedDict _PyObject_ClearManagedDict

static PyObject *calling_code(void)
{
    PyFrameObject *frame = PyEval_GetFrame(); /* borrowed */
    return frame == NULL ? NULL : (PyObject *)PyFrame_GetCode(frame);
}

static inline int PyWeakref_GetRef(PyObject *reference, PyObject **found)
{
    PyObject *object = PyWeakref_GET_OBJECT(reference);
    *found = object == Py_None ? NULL : Py_NewRef(object);
    return 0;
}
#endif

#if PY_VERSION_HEX < 0x030C0000
#define py_recursion_remaining recursion_remaining

/* New: the exception that is set, and no longer is; or NULL. */
static PyObject *PyErr_GetRaisedException(void)
{
    PyObject *type, *exc, *traceback;
    PyErr_Fetch(&type, &exc, &traceback);
    PyErr_NormalizeException(&type, &exc, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(exc, traceback);
    }
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return exc;
}

/* Stolen. */
static void PyErr_SetRaisedException(PyObject *exc)
{
    PyErr_Restore(exc == NULL ? NULL : Py_NewRef(Py_TYPE(exc)), exc,
                  exc == NULL ? NULL : PyException_GetTraceback(exc));
}
#endif

/* Whether a function of Python has a frame to run in. An exit may be Python's, and an entry is not: where the stack is at
   its end, what is entered here is never left, and its timer hits the caller. */
static inline int has_a_frame(void)
{
    return PyThreadState_Get()->py_recursion_remaining > 0;
}

/* -- What is bound once ------------------------------------------------------------------------------------------ */

/* Names of _for_c. Classes are compared by identity: the offsets below hold for them and for what derives from them. */
#define OBJECTS(X)                                                                                                     \
    X(ACTIVE) X(CREATED) X(FINISHED) X(Facts) X(Lane) X(Link) X(LoopState) X(More) X(NEVER) X(Noting) X(Series)        \
    X(Unhurried) X(Varied) X(added) X(announce) X(beside) X(broken_off) X(cancelling) X(completed) X(context)          \
    X(counted) X(current_tasks) X(get_running_loop) X(let_go) X(monotonic) X(observers) X(place) X(py_aenter)          \
    X(py_aexit) X(py_enter) X(py_leave) X(py_left_by) X(py_timeout) X(task_names) X(tell) X(tell_end) X(undone)        \
    X(usual_asked)
#define STRINGS(X)                                                                                                     \
    X(_tracedtimeout) X(arm) X(current) X(current_task) X(inherited) X(installed) X(name) X(rest) X(throw)

#define OBJECT(name) PyObject *name;
#define STRING(name) PyObject *str_##name;

static struct {
    int loaded;              /* by an interpreter, for good */
    PyObject *timeout;       /* the class that `bind` was given */
    PyObject *recent;        /* a weak reference to the loop's state that was found last; or NULL */
    PyObject *spare_stop;    /* a StopIteration that has nothing; or NULL */
    PyTypeObject *task;      /* asyncio's class of tasks where that is a C one, and its `cancelling` */
    PyCFunction task_cancelling, monotonic_read;
    OBJECTS(OBJECT)
    STRINGS(STRING)
} S;

/* Slots: letter, class, what stands before the name in Python, name. `offsets` has where each is. */
#define FIELDS(X)                                                                                                      \
    X(T, Link, "_", deadline) X(T, Link, "_", inner) X(T, Link, "_", more) X(T, Link, "_", owner)                      \
    X(T, Link, "_", parent) X(T, Link, "_", spent) X(T, Link, "_", stamp) X(T, Link, "_", state) X(T, Link, "_", task) \
    X(T, Link, "_", when) X(T, Facts, "_", ended) X(T, Facts, "_", fired) X(T, Facts, "_", lane)                       \
    X(T, Facts, "_", series) X(T, Facts, "_", started) X(L, Lane, "", delay) X(L, Lane, "", fresh)                     \
    X(L, Lane, "", here) X(L, Lane, "", pending) X(L, Lane, "", tail) X(H, LoopState, "", armed)                       \
    X(H, LoopState, "", clock) X(H, LoopState, "", forked) X(H, LoopState, "", heal_at) X(H, LoopState, "", idle)      \
    X(H, LoopState, "", loop) X(H, LoopState, "", series) X(H, LoopState, "", sites) X(H, LoopState, "", stamp)        \
    X(H, LoopState, "", stopwatch) X(H, LoopState, "", timed_apart) X(H, LoopState, "", timeouts)                      \
    X(H, LoopState, "", untimed) X(C, Series, "", entered) X(C, Series, "", lane) X(C, Series, "", name)               \
    X(C, Series, "", quick) X(C, Series, "", quick_up_to) X(C, Series, "", seconds) X(V, Varied, "", name)             \
    X(V, Varied, "", quick) X(V, Varied, "", ratios) X(V, Varied, "", seconds) X(V, Varied, "", short)                 \
    X(N, Noting, "", closer) X(N, Noting, "", note) X(N, Noting, "", plain)

#define NUMBERED(letter, class, before, name) letter##_##name,

enum { FIELDS(NUMBERED) SLOTS };
static Py_ssize_t offsets[SLOTS];

/* The slot itself; what stands in it is borrowed from its object. */
#define SLOT(object, field) (*(PyObject **)((char *)(object) + offsets[field]))
#define OF(object, class) ((PyObject *)Py_TYPE(object) == S.class)
#define DERIVES(object, class) PyObject_TypeCheck((object), (PyTypeObject *)S.class)

/* Put `value` (stolen) into a slot. The old value may run a destructor: the slot is whole by then. */
static inline void put(PyObject *object, int field, PyObject *value)
{
    PyObject *old = SLOT(object, field);
    SLOT(object, field) = value;
    Py_XDECREF(old);
}

/* The number in a slot as a double; ints are numbers. */
static inline int number(PyObject *value, double *found)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "a field of a timeout is not set");
        return -1;
    }
    if (PyFloat_CheckExact(value)) {
        *found = PyFloat_AS_DOUBLE(value);
        return 0;
    }
    *found = PyLong_CheckExact(value) ? PyLong_AsDouble(value) : PyFloat_AsDouble(value);
    return *found == -1.0 && PyErr_Occurred() ? -1 : 0;
}

/* Counts are added to in place where their slot alone has the number, which is a tenth of all else. What may fail comes
   first, for all that belongs together: `own` has a slot alone own its float, so that ADD may follow. */
static int own(PyObject *object, int field)
{
    PyObject *value = SLOT(object, field), *copy;
    double found;
    if (value != NULL && PyFloat_CheckExact(value) && Py_REFCNT(value) == 1) {
        return 0;
    }
    if (number(value, &found) < 0 || (copy = PyFloat_FromDouble(found)) == NULL) {
        return -1;
    }
    put(object, field, copy);
    return 0;
}

#define ADD(object, field, amount) (((PyFloatObject *)SLOT(object, field))->ob_fval += (amount))

/* Objects of one class that are dead and will be used again: as many as are nested, mostly. They are not the
   collector's, and their fields are NULL. */
typedef struct {
    PyObject *all[64];
    size_t count;
} Spares;

static Spares spare_steps, spare_timeouts;

/* New: one of them, which the collector does not see yet; NULL, and no exception, with none. */
static inline PyObject *revived(Spares *spares, PyTypeObject *type)
{
    return spares->count == 0 ? NULL : PyObject_Init(spares->all[--spares->count], type);
}

/* Have one that ends be used again, or freed. */
static inline void spared(Spares *spares, PyObject *dead)
{
    if (spares->count == Py_ARRAY_LENGTH(spares->all)) {
        PyObject_GC_Del(dead);
        return;
    }
    spares->all[spares->count++] = dead;
}

/* New: what a function returns that takes nothing. Clocks are built-in functions mostly, a third as dear so. */
static PyObject *ask(PyObject *function)
{
    if (PyCFunction_CheckExact(function) && PyCFunction_GET_FLAGS(function) == METH_NOARGS) {
        return PyCFunction_GET_FUNCTION(function)(PyCFunction_GET_SELF(function), NULL);
    }
    return PyObject_CallNoArgs(function);
}

/* Read a clock. */
static int read_clock(PyObject *clock, double *now)
{
    if (PyCFunction_CheckExact(clock) && PyCFunction_GET_FUNCTION(clock) == S.monotonic_read && read_monotonic(now)) {
        return 0;
    }
    PyObject *value = ask(clock);
    int failed = value == NULL ? -1 : number(value, now);
    Py_XDECREF(value);
    return failed;
}

/* Drop what a call returned: 0, or -1 where it failed. */
static inline int done(PyObject *result)
{
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* New: what a function returns for `count` objects and the clock. There is room for one more in `args`. */
static PyObject *ask_at(double now, PyObject *function, PyObject **args, size_t count)
{
    PyObject *result = NULL;
    if ((args[count] = PyFloat_FromDouble(now)) != NULL) {
        result = PyObject_Vectorcall(function, args, count + 1, NULL);
        Py_DECREF(args[count]);
    }
    return result;
}

/* New: what a dict has under a key; NULL, and no exception, where it has nothing: a miss goes the long way. */
static PyObject *found_in(PyObject *dict, PyObject *key)
{
    PyObject *value = NULL;
    if (dict != NULL && key != NULL && PyDict_Check(dict) && (value = PyDict_GetItemWithError(dict, key)) == NULL) {
        PyErr_Clear();
    }
    return Py_XNewRef(value);
}

/* New: what a weak reference leads to; NULL, and no exception, where it is gone. */
static PyObject *alive(PyObject *reference)
{
    PyObject *found = NULL;
    if (reference != NULL && PyWeakref_CheckRefExact(reference) && PyWeakref_GetRef(reference, &found) < 0) {
        PyErr_Clear();
    }
    return found;
}

/* Clear up after an entry or an exit that the exception set broke off: the last clause of _hot_py's aenter and aexit.
   The exception stays set; or one that clearing up raises, with it for context. An exit that is over, all but for what
   is told of it, still has observers to tell; of one that was never begun there is nothing to clear. What comes before
   the call works where no call does. */
static void clear_up(PyObject *self, int entering)
{
    PyObject *exc = PyErr_GetRaisedException(), *clears, *of, *later;
    PyObject *lane = SLOT(self, T_lane), *task = SLOT(self, T_task), *more = SLOT(self, T_more);
    lane = lane != NULL && DERIVES(lane, Lane) ? Py_NewRef(lane) : NULL;
    int open = entering || (task != NULL && task != Py_None && lane != NULL);
    int untold = !open && task == Py_None && more != NULL && more != Py_None;
    if (entering) {
        put(self, T_state, Py_NewRef(S.FINISHED));
    }
    else if (open && SLOT(lane, L_pending) != NULL && PyDict_Check(SLOT(lane, L_pending))) {
        PyDict_SetItem(SLOT(lane, L_pending), self, Py_None); /* the next tick clears up */
        PyErr_Clear();
    }
    if (open && lane != NULL && PyDict_Contains(lane, self) == 1) {
        PyObject_DelItem(lane, self);
    }
    PyErr_Clear();
    Py_XDECREF(lane);
    clears = entering ? S.undone : open ? S.broken_off : S.tell_end;
    of = entering ? exc : open ? NULL : Py_None;
    if ((open || untold) && done(PyObject_CallFunctionObjArgs(clears, self, of, NULL)) < 0) {
        later = PyErr_GetRaisedException();
        if (later != exc) {
            PyException_SetContext(later, Py_NewRef(exc));
        }
        Py_SETREF(exc, later);
    }
    PyErr_SetRaisedException(exc);
}

/* -- Names that others swap -------------------------------------------------------------------------------------- */

/* What stands in modules' dicts, asked for at each entry: in which, under which name, and what that was. From 3.12 on a
   dict tells us before it changes, which saves the looking. */
enum { ASKED, INHERITED, CURRENT, INSTALLED, NAMES };
static PyObject **const dicts[NAMES] = {&S.task_names, &S.context, &S.context, &S.observers};
static PyObject **const keys[NAMES] = {&S.str_current_task, &S.str_inherited, &S.str_current, &S.str_installed};
static PyObject *names[NAMES];
static int names_watched;

/* Borrowed, from the dict, until anything else is called; NULL where it is not there. */
static inline PyObject *named(int name)
{
    if (!names_watched || names[name] == NULL) {
        names[name] = PyDict_GetItemWithError(*dicts[name], *keys[name]);
    }
    return names[name];
}

#if PY_VERSION_HEX >= 0x030C0000
static int on_change(PyDict_WatchEvent event, PyObject *dict, PyObject *key, PyObject *value)
{
    memset(names, 0, sizeof(names));
    return 0;
}

static void watch_names(void)
{
    int watcher = PyDict_AddWatcher(on_change); /* there are eight in all */
    names_watched = watcher >= 0;
    for (int i = 0; i < NAMES; i++) {
        names_watched = names_watched && PyDict_Watch(watcher, *dicts[i]) == 0;
    }
    PyErr_Clear();
}
#else
#define watch_names()
#endif

/* -- Entering ---------------------------------------------------------------------------------------------------- */

/* What an entry reads before it changes anything: owned, and released by `forget`; borrowed by nobody for longer.
   `when` is the last that making a timeout needs. */
typedef struct {
    PyObject *loop, *here, *series, *when;
    PyObject *task, *lane, *stamp, *started, *parent, *current;
    PyObject *timed; /* when it is timed, if Python said so; else NULL: as `when` */
    double now;      /* on the loop's clock */
} Entry;

static inline void forget(Entry *e, PyObject **last)
{
    for (PyObject **each = &e->loop; each <= last; each++) {
        Py_XDECREF(*each);
    }
}

/* Find the running loop and its state: the one found last, if it refers to that loop, and no fork took it from it. 0
   where there is none of ours. Here and below, with 0 an exception may be set, which who enters clears. */
static int running(Entry *e)
{
    PyObject *found = NULL;
    if ((e->loop = ask(S.get_running_loop)) == NULL) {
        return 0;
    }
    if ((e->here = alive(S.recent)) != NULL && SLOT(e->here, H_forked) == Py_False) {
        found = alive(SLOT(e->here, H_loop));
        Py_XDECREF(found);
    }
    if (found == e->loop) {
        return 1;
    }
    Py_XSETREF(e->here, PyObject_GetAttr(e->loop, S.str__tracedtimeout));
    if (e->here == NULL || !OF(e->here, LoopState)) {
        return 0;
    }
    Py_XSETREF(S.recent, PyWeakref_NewRef(e->here, NULL));
    PyErr_Clear(); /* no memory for that */
    return 1;
}

/* Find the series of `delay` in `by_delay` (stolen), and when that is from now; 0 where it goes the long way. */
static int begin(Entry *e, PyObject *by_delay, PyObject *delay)
{
    double seconds;
    e->series = found_in(by_delay, delay);
    Py_XDECREF(by_delay);
    if (e->series == NULL || read_clock(SLOT(e->here, H_clock), &e->now) < 0) {
        return 0;
    }
    if (delay == Py_None) {
        e->when = Py_NewRef(S.NEVER);
    }
    else if ((PyFloat_CheckExact(delay) || PyLong_CheckExact(delay)) && number(delay, &seconds) == 0) {
        e->when = PyFloat_FromDouble(e->now + seconds);
    }
    return e->when != NULL;
}

/* Whether the current task is common: it is one of asyncio's class in C, and is not being cancelled. */
static int task_is_plain(Entry *e)
{
    PyObject *asked = Py_XNewRef(named(ASKED));
    if (asked == S.usual_asked && S.current_tasks != Py_None) {
        e->task = found_in(S.current_tasks, e->loop);
    }
    else if (asked != NULL) {
        e->task = PyObject_CallOneArg(asked, e->loop);
    }
    Py_XDECREF(asked);
    PyObject *times = e->task != NULL && Py_TYPE(e->task) == S.task ? S.task_cancelling(e->task, NULL) : NULL;
    int plain = times != NULL && PyObject_IsTrue(times) == 0;
    Py_XDECREF(times);
    return plain;
}

/* Find the innermost link that is not left, Py_None with none. 0 where it is no Timeout of this very class whose
   deadline is known. */
static int parent_is_plain(Entry *e)
{
    PyObject *inherited = Py_XNewRef(named(INHERITED)), *found;
    PyObject *current = inherited != NULL && PyCFunction_Check(inherited) ? PyCFunction_GET_SELF(inherited) : NULL;
    if (current != NULL && PyContextVar_CheckExact(current)) { /* current.get itself */
        e->current = Py_NewRef(current);
        (void)PyContextVar_Get(current, NULL, &e->parent);
    }
    else if ((e->current = Py_XNewRef(named(CURRENT))) != NULL && inherited != NULL) {
        e->parent = PyObject_CallNoArgs(inherited);
    }
    Py_XDECREF(inherited);
    while ((found = e->parent) != NULL && OF(found, timeout) && SLOT(found, T_state) == S.FINISHED &&
           SLOT(found, T_parent) != NULL) {
        e->parent = Py_NewRef(SLOT(found, T_parent));
        Py_DECREF(found);
    }
    return found == Py_None ||
           (found != NULL && OF(found, timeout) && SLOT(found, T_stamp) == e->stamp &&
            SLOT(found, T_deadline) != NULL && SLOT(found, T_inner) != NULL && SLOT(found, T_owner) != NULL &&
            SLOT(found, T_more) != NULL);
}

/* Read all that an entry needs, beyond `loop`, `here`, `series` and `when`. Where it returns 0, nothing was changed. */
static int look(Entry *e)
{
    PyObject *apart = SLOT(e->here, H_timed_apart);
    if (!OF(e->series, Series) || (e->lane = Py_XNewRef(SLOT(e->series, C_lane))) == NULL) {
        return 0;
    }
    e->stamp = Py_XNewRef(SLOT(e->here, H_stamp));
    return DERIVES(e->lane, Lane) && SLOT(e->lane, L_here) == e->here && e->stamp != NULL && task_is_plain(e) &&
           (apart == Py_False || (apart == Py_True && (e->started = ask(SLOT(e->here, H_stopwatch))) != NULL)) &&
           parent_is_plain(e);
}

/* Have `self` lie beneath its parent, which is plain. Returns 1 where its own deadline is the effective one, else 0. */
static int beneath(PyObject *self, Entry *e, double when)
{
    PyObject *parent = e->parent, *owner;
    double deadline;
    if (SLOT(parent, T_task) != e->task || SLOT(parent, T_inner) != Py_None) {
        e->timed = PyObject_CallFunctionObjArgs(S.beside, self, parent, SLOT(parent, T_more), NULL);
        return e->timed == NULL ? -1 : SLOT(self, T_owner) == Py_None;
    }
    if (number(SLOT(parent, T_deadline), &deadline) < 0) {
        return -1;
    }
    put(parent, T_inner, Py_NewRef(self));
    if (deadline >= when) {
        return 1;
    }
    owner = SLOT(parent, T_owner);
    put(self, T_deadline, Py_NewRef(SLOT(parent, T_deadline)));
    put(self, T_owner, Py_NewRef(owner != Py_None ? owner : parent));
    return 0;
}

/* Have `self` queue for `when`: at the end of its lane, if it is in order there. Returns 1 where it does, or needs not,
   and 0 where Python found it another place. `fresh`: it was made in this moment, and not up to SOON ago. */
static int queue(PyObject *self, Entry *e, double when, int fresh)
{
    PyObject *here = e->here, *lane = e->lane, *timed = e->timed == NULL ? e->when : e->timed, *now;
    double tail, limit, armed, heal_at;
    if (timed == e->when && OF(lane, Lane)) {
        if (number(SLOT(lane, L_tail), &tail) < 0 || number(SLOT(lane, L_fresh), &limit) < 0) {
            return -1;
        }
        if (when >= tail && (fresh || when - e->now > limit)) {
            put(lane, L_tail, Py_NewRef(e->when));
            if (PyDict_SetItem(lane, self, e->when) < 0 || number(SLOT(here, H_armed), &armed) < 0 ||
                number(SLOT(here, H_heal_at), &heal_at) < 0 ||
                ((when < armed || heal_at < e->now) && done(PyObject_CallMethodOneArg(here, S.str_arm, e->when)) < 0)) {
                return -1;
            }
            return 1;
        }
    }
    else if (timed == S.NEVER && lane == SLOT(here, H_untimed)) {
        if (SLOT(self, T_started) == Py_None && (now = PyFloat_FromDouble(e->now)) != NULL) {
            put(self, T_started, now);
        }
        return SLOT(self, T_started) == Py_None ? -1 : 1;
    }
    return done(ask_at(e->now, S.place, (PyObject *[4]){self, here, timed}, 3));
}

/* Tell the observers, if there are any, that `self` is open: by `announce`; where the only one is one that notes, and
   that runs no Python, here. */
static int announced(PyObject *self)
{
    PyObject *observers = named(INSTALLED), *only, *note, *noted = NULL, *closer = NULL;
    if (observers == NULL || !PyTuple_CheckExact(observers) || PyTuple_GET_SIZE(observers) == 0) {
        return 0;
    }
    only = Py_NewRef(PyTuple_GET_ITEM(observers, 0));
    if (PyTuple_GET_SIZE(observers) == 1 && DERIVES(only, Noting) && SLOT(only, N_closer) != NULL &&
        (note = SLOT(only, N_note)) != NULL && PyCFunction_CheckExact(note) && SLOT(self, T_more) == Py_None &&
        (noted = PyObject_CallNoArgs(note)) != NULL && (PyObject *)Py_TYPE(noted) == SLOT(only, N_plain)) {
        closer = PyObject_CallFunctionObjArgs(S.Unhurried, SLOT(only, N_closer), noted, NULL);
    }
    Py_XDECREF(noted);
    Py_DECREF(only);
    if (closer == NULL) {
        PyErr_Clear();
        return done(PyObject_CallOneArg(S.announce, self));
    }
    put(self, T_more, closer);
    return 0;
}

/* Enter `self`, which is plain as `look` found. New: self; or NULL, and undone. */
static PyObject *enter_plain(PyObject *self, Entry *e, int fresh)
{
    int own_limit = 1, queued;
    double when;
    PyObject *result = NULL;

    put(self, T_task, Py_NewRef(e->task));
    put(self, T_lane, Py_NewRef(e->lane));
    put(self, T_deadline, Py_NewRef(e->when));
    put(self, T_stamp, Py_NewRef(e->stamp));
    if (e->started != NULL) {
        put(self, T_started, Py_NewRef(e->started));
    }
    put(self, T_parent, Py_NewRef(e->parent));
    if (number(e->when, &when) < 0 || (e->parent != Py_None && (own_limit = beneath(self, e, when)) < 0)) {
        goto failed;
    }
    put(self, T_state, Py_NewRef(S.ACTIVE));
    if ((queued = queue(self, e, when, fresh)) < 0 || announced(self) < 0 ||
        done(PyContextVar_Set(e->current, self)) < 0) {
        goto failed;
    }
    if (!own_limit || !queued) {
        result = ask_at(e->now, S.counted, (PyObject *[2]){self}, 1); /* self */
    }
    else if (own(e->series, C_entered) == 0) {
        ADD(e->series, C_entered, 1.0);
        result = Py_NewRef(self);
    }
failed:
    if (result == NULL) {
        clear_up(self, 1);
    }
    return result;
}

/* Whether to go the long way after a look that found nothing common: 0 where a signal's exception struck a loop's clock,
   and stays set. Of what else was raised the long way tells. */
static int goes_on(void)
{
    if (PyErr_Occurred() != NULL && !PyErr_ExceptionMatches(PyExc_Exception)) {
        return 0;
    }
    PyErr_Clear();
    return 1;
}

/* Enter a timeout that timeout() made. New: self; or NULL: with nothing changed, and without an exception but a signal's,
   where it is not common. */
static PyObject *enter_made(PyObject *self)
{
    Entry e = {0};
    PyObject *result = NULL;
    int plain = 0;
    if (SLOT(self, T_state) == S.CREATED && SLOT(self, T_more) == Py_None && has_a_frame() && running(&e)) {
        e.series = Py_XNewRef(SLOT(self, T_series));
        e.when = Py_XNewRef(SLOT(self, T_when));
        plain = e.series != NULL && e.when != NULL && read_clock(SLOT(e.here, H_clock), &e.now) == 0 && look(&e) &&
                SLOT(self, T_state) == S.CREATED;
    }
    if (plain) {
        result = enter_plain(self, &e, 0);
    }
    else {
        goes_on();
    }
    forget(&e, &e.timed);
    return result;
}

/* -- Leaving ----------------------------------------------------------------------------------------------------- */

/* Count an exit in time, and show it as left, in one step: all that may fail comes before. -1, and nothing counted.
   What took longer than the first bucket can wait a microsecond for Python. */
static int count(PyObject *self, PyObject *series, PyObject *elapsed, double limit)
{
    int usual = OF(series, Series), quick = usual ? C_quick : V_quick, seconds = usual ? C_seconds : V_seconds;
    double up_to, took = PyFloat_AS_DOUBLE(elapsed);
    if (number(SLOT(series, usual ? C_quick_up_to : V_short), &up_to) < 0) {
        return -1;
    }
    if (!(took <= up_to) || (!usual && !(limit > 0.0))) {
        return done(PyObject_CallFunctionObjArgs(S.completed, self, series, elapsed, NULL));
    }
    if (own(series, quick) < 0 || own(series, seconds) < 0 || (!usual && own(series, V_ratios) < 0)) {
        return -1;
    }
    put(self, T_ended, Py_NewRef(elapsed));
    put(self, T_state, Py_NewRef(S.FINISHED));
    ADD(series, quick, 1.0);
    ADD(series, seconds, took);
    if (!usual) {
        ADD(series, V_ratios, took / limit);
    }
    return 0;
}

/* Tell the parent what it took, and let go of it. */
static int leave_parent(PyObject *self, PyObject *here, PyObject *name, PyObject *elapsed, double now)
{
    PyObject *outer = SLOT(self, T_parent), *spent;
    if (!DERIVES(outer, Link) || SLOT(outer, T_inner) != self) {
        return done(ask_at(now, S.let_go, (PyObject *[5]){self, here, name, elapsed}, 4));
    }
    Py_INCREF(outer);
    put(outer, T_inner, Py_NewRef(Py_None));
    spent = SLOT(outer, T_spent);
    spent = spent == NULL || spent == Py_None ? PyTuple_Pack(2, name, elapsed)
                                              : PyObject_CallFunctionObjArgs(S.added, spent, name, elapsed, NULL);
    if (spent != NULL) {
        put(outer, T_spent, spent);
    }
    Py_DECREF(outer);
    return spent == NULL ? -1 : 0;
}

/* Whether an exit with no exception is common, as far as can be told without a call. If so, it is out of its lane: that
   comes first of all. */
static int begin_exit(PyObject *self)
{
    PyObject *lane = SLOT(self, T_lane), *more = SLOT(self, T_more), *series = SLOT(self, T_series), *here;
    if (SLOT(self, T_state) != S.ACTIVE || lane == NULL || !DERIVES(lane, Lane) || more == NULL || OF(more, More) ||
        SLOT(self, T_inner) != Py_None || series == NULL || !(OF(series, Series) || OF(series, Varied))) {
        return 0;
    }
    here = SLOT(lane, L_here);
    if (here == NULL || !OF(here, LoopState) || SLOT(self, T_stamp) != SLOT(here, H_stamp)) {
        return 0;
    }
    if (!OF(lane, Lane)) {
        return lane == SLOT(here, H_untimed);
    }
    if (PyDict_DelItem(lane, self) == 0) {
        return 1;
    }
    PyErr_Clear(); /* it was not there */
    return 0;
}

/* Go on with what `begin_exit` began. New: what to raise, or None; NULL with an exception, cleared up. */
static PyObject *leave_plain(PyObject *self)
{
    PyObject *lane = Py_NewRef(SLOT(self, T_lane)), *here = Py_NewRef(SLOT(lane, L_here));
    PyObject *series = Py_NewRef(SLOT(self, T_series)), *more = Py_NewRef(SLOT(self, T_more));
    PyObject *elapsed = NULL, *raised = NULL, *since;
    double now, deadline, start, delay = 0.0;

    if (read_clock(SLOT(here, H_stopwatch), &now) < 0 || number(SLOT(self, T_deadline), &deadline) < 0) {
        goto left;
    }
    if (!(now <= deadline) || SLOT(self, T_state) != S.ACTIVE || SLOT(self, T_stamp) != SLOT(here, H_stamp)) {
        raised = PyObject_CallFunctionObjArgs(S.py_left_by, self, Py_None, NULL);
        goto left;
    }
    since = SLOT(self, T_started);
    if (number(since == Py_None ? SLOT(self, T_when) : since, &start) < 0 ||
        (since == Py_None && number(SLOT(lane, L_delay), &delay) < 0) ||
        (elapsed = PyFloat_FromDouble(now - start + delay)) == NULL ||
        count(self, series, elapsed, now < deadline ? deadline - now + PyFloat_AS_DOUBLE(elapsed) : 0.0) < 0 ||
        (PyDict_GET_SIZE(lane) == 0 && SLOT(here, H_idle) == Py_False &&
         done(PyObject_CallMethodNoArgs(here, S.str_rest)) < 0) ||
        (SLOT(self, T_parent) != NULL && SLOT(self, T_parent) != Py_None &&
         leave_parent(self, here, SLOT(series, OF(series, Series) ? C_name : V_name), elapsed, now) < 0)) {
        goto left;
    }
    put(self, T_task, Py_NewRef(Py_None)); /* task -> context -> timeout -> task would be a cycle */
    if (more == Py_None || OF(more, Unhurried) || done(PyObject_CallFunctionObjArgs(S.tell, self, more, NULL)) == 0) {
        raised = Py_NewRef(Py_None);
    }
left:
    if (raised == NULL) {
        clear_up(self, 0);
    }
    Py_XDECREF(elapsed);
    Py_DECREF(more);
    Py_DECREF(series);
    Py_DECREF(here);
    Py_DECREF(lane);
    return raised;
}

/* -- __aenter__ and __aexit__ ------------------------------------------------------------------------------------ */

/* New: the coroutine of _hot_py's aenter or aexit, for any object. Where there is no memory for it, the exit of a
   timeout is cleared up here. */
static PyObject *by_python(PyObject *self, int leaving, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    PyObject *method = PyMethod_New(leaving ? S.py_aexit : S.py_aenter, self), *result = NULL;
    if (method != NULL) {
        result = PyObject_Vectorcall(method, args, (size_t)count, keywords);
        Py_DECREF(method);
    }
    if (result == NULL && leaving && PyErr_ExceptionMatches(PyExc_MemoryError) && DERIVES(self, Facts)) {
        clear_up(self, 0);
    }
    return result;
}

/* Whether a call is `timeout.__aenter__()`, or `timeout.__aexit__(None, None, None)`. */
static inline int is_plain(int leaving, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    return keywords == NULL && (leaving ? count == 3 && args[1] == Py_None : count == 0);
}

/* A bound __aenter__ or __aexit__, which is at once what its first call returns: an awaitable, done at its first step,
   that never waits. One object for both, used again and again, is a tenth of all that a timeout costs up to 3.13; from
   3.14 on `async with` binds nothing, and `step_new` is called first.

   `timeout` is owned until this one dies; nothing takes it away but the collector. `stop` is what an entry raised, and
   has the timeout for its value: it is this one's, so that it goes with this one. The collector sees both. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *timeout, *stop;
    enum { BOUND, CALLED, DONE } state;
    int leaving;
} Step;

static PyTypeObject step_type;

static PyObject *step_call(PyObject *self, PyObject *const *args, size_t flagged, PyObject *keywords)
{
    Step *step = (Step *)self;
    Py_ssize_t count = PyVectorcall_NARGS(flagged);
    if (step->state == BOUND && is_plain(step->leaving, args, count, keywords)) {
        step->state = CALLED;
        return Py_NewRef(self);
    }
    return by_python(step->timeout, step->leaving, args, count, keywords);
}

/* New. */
static PyObject *step_new(PyObject *timeout, int leaving, int state)
{
    Step *self = (Step *)revived(&spare_steps, &step_type);
    if (self == NULL && (self = PyObject_GC_New(Step, &step_type)) == NULL) {
        return NULL;
    }
    self->vectorcall = step_call;
    self->timeout = Py_NewRef(timeout);
    self->stop = NULL;
    self->state = state;
    self->leaving = leaving;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

static int step_traverse(Step *self, visitproc visit, void *arg)
{
    Py_VISIT(self->timeout);
    Py_VISIT(self->stop);
    return 0;
}

static int step_clear(Step *self)
{
    self->state = DONE;
    Py_CLEAR(self->timeout);
    Py_CLEAR(self->stop);
    return 0;
}

/* Its StopIteration is kept for the next entry, if nobody else has it or left anything on it, and the collector has not
   cleared it. */
static void step_dealloc(Step *self)
{
    PyStopIterationObject *stop = (PyStopIterationObject *)self->stop;
    PyObject_GC_UnTrack(self);
    if (self->state == CALLED) { /* as coroutines say */
        PyObject *exc = PyErr_GetRaisedException();
        if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "coroutine '%s' was never awaited",
                             self->leaving ? "aexit" : "aenter") < 0) {
            PyErr_WriteUnraisable(NULL);
        }
        PyErr_SetRaisedException(exc);
    }
    if (stop != NULL && S.spare_stop == NULL && Py_REFCNT(stop) == 1 && stop->value != NULL && stop->dict == NULL &&
        stop->traceback == NULL && stop->context == NULL && stop->cause == NULL && stop->notes == NULL) {
        S.spare_stop = self->stop;
        self->stop = NULL;
        Py_SETREF(stop->value, Py_NewRef(Py_None));
    }
    step_clear(self);
    spared(&spare_steps, (PyObject *)self);
}

/* New: the coroutine of _hot_py, to be gone through in place of this one. */
static PyObject *twin_of(Step *self)
{
    PyObject *const none[] = {Py_None, Py_None, Py_None};
    return by_python(self->timeout, self->leaving, none, self->leaving ? 3 : 0, NULL);
}

/* New: what that, which never waits, returns. */
static PyObject *by_twin(Step *self)
{
    PyObject *coroutine = twin_of(self), *result = NULL;
    if (coroutine != NULL && PyIter_Send(coroutine, Py_None, &result) == PYGEN_NEXT) {
        Py_CLEAR(result);
        PyErr_SetString(PyExc_RuntimeError, "entering and leaving a timeout never waits");
    }
    Py_XDECREF(coroutine);
    return result;
}

/* Have this be the one time that it is awaited. */
static int begin_step(Step *self)
{
    if (self->state == CALLED) {
        self->state = DONE;
        return 0;
    }
    PyErr_SetString(self->state == BOUND ? PyExc_TypeError : PyExc_RuntimeError,
                    self->state == BOUND ? "a method can't be used in 'await' expression: call it"
                                         : "cannot reuse already awaited coroutine");
    return -1;
}

/* The step. New: what `await` gives. */
static PyObject *step_result(Step *self)
{
    PyObject *result;
    if (begin_step(self) < 0) {
        return NULL;
    }
    if (!self->leaving) {
        result = enter_made(self->timeout);
        return result == NULL && !PyErr_Occurred() ? by_twin(self) : result;
    }
    if (!begin_exit(self->timeout)) {
        return by_twin(self);
    }
    result = leave_plain(self->timeout);
    if (result != NULL && result != Py_None) {
        PyErr_SetObject((PyObject *)Py_TYPE(result), result);
        Py_CLEAR(result);
    }
    return result;
}

static PySendResult step_am_send(Step *self, PyObject *value, PyObject **result)
{
    *result = step_result(self);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* `SEND` of 3.12 and later asks this: for None, without an exception. The StopIteration of an entry is used again and
   again, with nothing else in it: it costs a tenth of all else, anew. It is made first: where there is no memory for
   it, who awaits would not learn that anything was entered. */
static PyObject *step_next(Step *self)
{
    PyObject *stop, *result;
    if (self->leaving) {
        Py_XDECREF(step_result(self)); /* None */
        return NULL;
    }
    stop = S.spare_stop != NULL ? S.spare_stop : PyObject_CallNoArgs(PyExc_StopIteration);
    S.spare_stop = NULL;
    if (stop == NULL) {
        self->state = DONE;
    }
    else if ((result = step_result(self)) != NULL) {
        Py_XSETREF(((PyStopIterationObject *)stop)->value, result);
        PyErr_SetRaisedException(Py_NewRef(stop));
    }
    Py_XSETREF(self->stop, stop); /* not before: observers may step it again meanwhile */
    return NULL;
}

static PyObject *step_send(Step *self, PyObject *value)
{
    step_next(self);
    Py_CLEAR(self->stop); /* it gets a traceback, and is not kept */
    if (!PyErr_Occurred()) {
        PyErr_SetNone(PyExc_StopIteration);
    }
    return NULL;
}

/* throw(exception), or throw(type, value, traceback): raised in the twin, before its first line. */
static PyObject *step_throw(Step *self, PyObject *args)
{
    PyObject *coroutine = begin_step(self) < 0 ? NULL : twin_of(self), *result = NULL;
    PyObject *method = coroutine == NULL ? NULL : PyObject_GetAttr(coroutine, S.str_throw);
    if (method != NULL) {
        result = PyObject_Call(method, args, NULL);
    }
    Py_XDECREF(method);
    Py_XDECREF(coroutine);
    return result;
}

static PyObject *step_close(Step *self, PyObject *ignored)
{
    self->state = DONE;
    Py_RETURN_NONE;
}

static PyObject *step_name(Step *self, void *ignored)
{
    return PyUnicode_FromString(self->leaving ? "aexit" : "aenter");
}

static PyMethodDef step_methods[] = {
    {"send", (PyCFunction)step_send, METH_O, NULL},
    {"throw", (PyCFunction)step_throw, METH_VARARGS, NULL},
    {"close", (PyCFunction)step_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef step_members[] = {{"__self__", T_OBJECT, offsetof(Step, timeout), READONLY, NULL}, {NULL}};
static PyGetSetDef step_getset[] = {{"__name__", (getter)step_name}, {"__qualname__", (getter)step_name}, {NULL}};
static PyAsyncMethods step_async = {.am_await = PyObject_SelfIter, .am_send = (sendfunc)step_am_send};

static PyTypeObject step_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "tracedtimeout._core._hot_c.Step",
    .tp_basicsize = sizeof(Step),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
                Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Step, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_dealloc = (destructor)step_dealloc,
    .tp_traverse = (traverseproc)step_traverse,
    .tp_clear = (inquiry)step_clear,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = (iternextfunc)step_next,
    .tp_methods = step_methods,
    .tp_members = step_members,
    .tp_getset = step_getset,
    .tp_as_async = &step_async,
};

/* Methods of Timeout; of any object, as far as CPython checks. What is no Timeout itself goes to the twin. */
static PyObject *hot_aenter(PyObject *self, PyObject *ignored)
{
    return OF(self, timeout) ? step_new(self, 0, CALLED) : by_python(self, 0, NULL, 0, NULL);
}

static PyObject *hot_aexit(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    if (!OF(self, timeout) || !is_plain(1, args, count, keywords)) {
        return by_python(self, 1, args, count, keywords);
    }
    PyObject *step = step_new(self, 1, CALLED);
    if (step == NULL) {
        clear_up(self, 0);
    }
    return step;
}

#define FAST(function) (PyCFunction)(void (*)(void))function, METH_FASTCALL | METH_KEYWORDS

static PyMethodDef aenter_def = {"aenter", hot_aenter, METH_NOARGS, "Enter a timeout, in the task that it guards."};
static PyMethodDef aexit_def = {"aexit", FAST(hot_aexit), "Leave a timeout, with the exception that its body raised."};

/* A method descriptor that binds to a Step. */
static PyObject *method_get(PyObject *self, PyObject *timeout, PyObject *class)
{
    if (timeout == NULL || !OF(timeout, timeout)) {
        return PyMethodDescr_Type.tp_descr_get(self, timeout, class);
    }
    return step_new(timeout, ((PyMethodDescrObject *)self)->d_method == &aexit_def, BOUND);
}

static PyTypeObject method_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "tracedtimeout._core._hot_c.Method",
    .tp_base = &PyMethodDescr_Type,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE |
                Py_TPFLAGS_METHOD_DESCRIPTOR,
    .tp_descr_get = method_get,
};

/* -- The object of a timeout ------------------------------------------------------------------------------------- */

/* A Timeout is of a class written in Python, so CPython ends it by looking what that has: 15 slots in two classes, a
   dict and weak references of CPython's own keeping. Here that is known, and it is a tenth of all else. */
#if PY_VERSION_HEX >= 0x030C0000
#define KEPT (Py_TPFLAGS_MANAGED_DICT | Py_TPFLAGS_MANAGED_WEAKREF)

/* The class that `bind` was given, or one derived from it, whose own fields are cleared. */
static void timeout_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, timeout_dealloc)
    if (type->tp_dealloc == timeout_dealloc && type->tp_finalize != NULL) {
        PyObject_GC_Track(self);
        if (PyObject_CallFinalizerFromDealloc(self) < 0) {
            goto resurrected;
        }
        PyObject_GC_UnTrack(self);
    }
    if (*(PyObject **)((char *)self + type->tp_weaklistoffset) != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    for (int i = 0; i <= T_started; i++) { /* all that it has: see `take_over` */
        Py_CLEAR(((PyObject **)(self + 1))[i]);
    }
    PyObject_ClearManagedDict(self);
    if ((PyObject *)type == S.timeout && type->tp_finalize == NULL) {
        spared(&spare_timeouts, self);
    }
    else {
        type->tp_free(self);
    }
    Py_DECREF(type);
resurrected:
    Py_TRASHCAN_END
}

/* Have objects of the class end here, if they are what is known. */
static void take_over(PyTypeObject *type)
{
    if (type->tp_basicsize == (Py_ssize_t)(sizeof(PyObject) + (T_started + 1) * sizeof(PyObject *)) &&
        type->tp_itemsize == 0 && (type->tp_flags & KEPT) == KEPT && type->tp_del == NULL &&
#ifdef Py_TPFLAGS_INLINE_VALUES
        !(type->tp_flags & Py_TPFLAGS_INLINE_VALUES) &&
#endif
        type->tp_base->tp_dealloc == type->tp_dealloc) {
        type->tp_dealloc = timeout_dealloc;
    }
}
#else
#define take_over(type)
#endif

/* New: a Timeout with its fields as _hot_py makes them. */
static PyObject *made(Entry *e)
{
    static const int none[] = {T_started, T_lane, T_owner, T_inner, T_spent, T_more, T_fired, T_ended};
    PyTypeObject *type = (PyTypeObject *)S.timeout;
    PyObject *self = revived(&spare_timeouts, type);
    if (self != NULL) {
        PyObject_GC_Track(self);
    }
    else if ((self = type->tp_alloc(type, 0)) == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(none); i++) {
        SLOT(self, none[i]) = Py_NewRef(Py_None);
    }
    SLOT(self, T_series) = Py_NewRef(e->series);
    SLOT(self, T_when) = Py_NewRef(e->when);
    SLOT(self, T_state) = Py_NewRef(S.CREATED);
    return self;
}

/* enter(delay, name, kind, at_least=0.0, reserve=None). New. */
static PyObject *hot_enter(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    Entry e = {0};
    PyObject *self = NULL, *by_name = NULL, *result = NULL;
    int plain = S.timeout != NULL && keywords == NULL && count >= 3 && count <= 5 && PyUnicode_CheckExact(args[1]) &&
                (count < 4 || (PyFloat_CheckExact(args[3]) && PyFloat_AS_DOUBLE(args[3]) == 0.0)) &&
                (count < 5 || args[4] == Py_None) && has_a_frame() && running(&e);
    if (plain) {
        by_name = found_in(SLOT(e.here, H_series), args[2]);
        /* Made first: what allocates may run the collector (3.11), and what that closes may be what `look` finds. */
        plain = begin(&e, found_in(by_name, args[1]), args[0]) && (self = made(&e)) != NULL && look(&e);
    }
    if (plain) {
        result = enter_plain(self, &e, 1);
    }
    else if (goes_on()) {
        result = PyObject_Vectorcall(S.py_enter, args, (size_t)count, keywords);
    }
    Py_XDECREF(by_name);
    Py_XDECREF(self);
    forget(&e, &e.timed);
    return result;
}

/* leave(self): None. */
static PyObject *hot_leave(PyObject *module, PyObject *self)
{
    if (!OF(self, timeout) || !begin_exit(self)) {
        return PyObject_CallOneArg(S.py_leave, self);
    }
    return done(leave_plain(self)) < 0 ? NULL : Py_NewRef(Py_None);
}

/* New: the series of the caller's default name by delay; or NULL. */
static PyObject *site_of_caller(PyObject *here)
{
    PyObject *code = calling_code(), *id = code == NULL ? NULL : PyLong_FromVoidPtr(code);
    PyObject *found = found_in(SLOT(here, H_sites), id);
    Py_XDECREF(id);
    Py_XDECREF(code);
    return found;
}

/* timeout(delay, *, name=None, at_least=0.0, reserve=None). New. */
static PyObject *hot_timeout(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    Entry e = {0};
    PyObject *self = NULL, *name = keywords == NULL ? Py_None : NULL;
    if (keywords != NULL && PyTuple_GET_SIZE(keywords) == 1 && count == 1 &&
        PyTuple_GET_ITEM(keywords, 0) == S.str_name) { /* names of arguments in code are interned */
        name = args[1];
    }
    if (S.timeout != NULL && count == 1 && name != NULL && (name == Py_None || PyUnicode_CheckExact(name)) &&
        running(&e) &&
        begin(&e, name == Py_None ? site_of_caller(e.here) : found_in(SLOT(e.here, H_timeouts), name), args[0])) {
        self = made(&e);
    }
    forget(&e, &e.when);
    if (self == NULL && goes_on()) {
        self = PyObject_Vectorcall(S.py_timeout, args, (size_t)count, keywords);
    }
    return self;
}

/* -- Binding ----------------------------------------------------------------------------------------------------- */

/* bind(Timeout): the class, once there is one. */
static PyObject *hot_bind(PyObject *module, PyObject *timeout)
{
    if (!PyType_Check(timeout) || !PyType_IsSubtype((PyTypeObject *)timeout, (PyTypeObject *)S.Facts)) {
        return PyErr_Format(PyExc_TypeError, "bind() takes the class of timeouts");
    }
    while (spare_timeouts.count > 0) { /* of another class */
        PyObject_GC_Del(spare_timeouts.all[--spare_timeouts.count]);
    }
    Py_XSETREF(S.timeout, Py_NewRef(timeout));
    take_over((PyTypeObject *)timeout);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"bind", hot_bind, METH_O, "Have timeouts be of a class."},
    {"enter", FAST(hot_enter),
     "enter($module, delay, name, kind, at_least=0.0, reserve=None)\n--\n\n"
     "A timeout of `delay` seconds that has been entered; left by `leave`, or by `left_by` with what was raised."},
    {"leave", hot_leave, METH_O, "leave($module, self, /)\n--\n\nLeave `self`, whose body raised nothing."},
    {"timeout", FAST(hot_timeout),
     "timeout($module, delay, *, name=None, at_least=0.0, reserve=None)\n--\n\n"
     "A context manager that cancels its body after `delay` seconds and turns that into `DeadlineExceeded`."},
    {NULL, NULL, 0, NULL},
};

/* The offset of a slot of a class; -1, with an exception or without, where it has none. */
static Py_ssize_t offset_of(PyObject *class, const char *name)
{
    PyObject *found = PyObject_GetAttrString(class, name);
    PyMemberDef *member = found != NULL && Py_IS_TYPE(found, &PyMemberDescr_Type)
                              ? ((PyMemberDescrObject *)found)->d_member : NULL;
    Py_XDECREF(found); /* the class has it */
    return member != NULL && member->type == T_OBJECT_EX ? member->offset : -1;
}

#define TAKE(name) || (S.name = PyObject_GetAttrString(given, #name)) == NULL
#define INTERN(name) || (S.str_##name = PyUnicode_InternFromString(#name)) == NULL
#define FIND(letter, class, before, name) || (offsets[letter##_##name] = offset_of(S.class, before #name)) < 0

/* Take from _for_c all that is kept for good. */
static int take_all(void)
{
    PyObject *given = PyImport_ImportModule("tracedtimeout._core._for_c");
    int failed = given == NULL OBJECTS(TAKE) STRINGS(INTERN) FIELDS(FIND);
    Py_XDECREF(given);
    if (failed) {
        return -1;
    }
    if (Py_IS_TYPE(S.cancelling, &PyMethodDescr_Type) &&
        ((PyMethodDescrObject *)S.cancelling)->d_method->ml_flags == METH_NOARGS) {
        S.task = PyDescr_TYPE(S.cancelling);
        S.task_cancelling = ((PyMethodDescrObject *)S.cancelling)->d_method->ml_meth;
    }
    if (PyCFunction_CheckExact(S.monotonic)) {
        S.monotonic_read = PyCFunction_GET_FUNCTION(S.monotonic);
    }
    watch_names();
    return 0;
}

static int add_method(PyObject *module, PyMethodDef *definition)
{
    PyObject *method = PyDescr_NewMethod(&PyBaseObject_Type, definition);
    if (method != NULL) {
        Py_SET_TYPE(method, &method_type); /* of the same layout, and static both */
    }
    int failed = PyModule_AddObjectRef(module, definition->ml_name, method); /* says so of NULL, too */
    Py_XDECREF(method);
    return failed;
}

static int hot_exec(PyObject *module)
{
    if (S.loaded || PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "one interpreter has the compiled hot path, once; others run the Python");
        return -1;
    }
    if (take_all() < 0) {
        if (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_SetString(PyExc_ImportError, "the compiled hot path was built from other sources");
        }
        return -1;
    }
    S.loaded = PyType_Ready(&step_type) == 0 && PyType_Ready(&method_type) == 0 &&
               add_method(module, &aenter_def) == 0 && add_method(module, &aexit_def) == 0;
    return S.loaded ? 0 : -1;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, hot_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "tracedtimeout._core._hot_c",
    .m_doc = "The hot path, compiled.",
    .m_methods = functions,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__hot_c(void)
{
    return PyModuleDef_Init(&module_def);
}
