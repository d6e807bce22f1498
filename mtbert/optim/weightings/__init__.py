"""Gradient weightings: each maps the inner products of the tasks' gradients to a weight per task. One file per method.

With the tasks' gradients as the rows of J, (T, P), and G = J J^T their Gramian, a weighting maps G, (..., T, T), to
weights w, (..., T), and the combined gradient is w J. PCGrad and GradVac are usually written as changes to vectors of P
numbers, but each changed gradient remains a linear combination sum_k C_ik g_k. So it suffices to change the T x T
matrix C, and w is the sum of its rows, 1 C. Leading dimensions of G are groups of parameters (layers or matrices), each
with weights of its own.

To add a method, write ``mtbert/optim/weightings/NAME.py`` with a function or callable object from G to w, and add a
line to ``WEIGHTINGS`` in build.py, such as ``"name": lambda beta, order: name_weights``. Recipes then accept
``surgery="name"``. If the method has state between steps, give it ``state_dict`` and ``load_state_dict``, so that
checkpoints include it.
"""
