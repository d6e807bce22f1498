"""Weightings: from the inner products of the tasks' gradients to the weight of each in the step. One file per method.

With the tasks' gradients as the rows of J, (T, P), and G = J J^T their Gramian, a weighting maps G, (..., T, T), to
weights w, (..., T), and the step follows w J. PCGrad and GradVac are usually written as changes to vectors of P
numbers, but each changed gradient stays a combination sum_k C_ik g_k. So it is enough to change the T x T matrix C, and
w = 1 C. Leading dimensions of G are groups of parameters (layers or matrices), each with weights of its own.

To add a method, write ``mtbert/optim/weightings/NAME.py`` with a function or callable object from G to w, and add a
line to ``WEIGHTINGS`` in build.py: recipes take its name. If the method keeps anything between steps, give it
``state_dict`` and ``load_state_dict``: the trainer puts them into its checkpoints.
"""
