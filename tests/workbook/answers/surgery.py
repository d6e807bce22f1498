"""Answers to the exercises of notebook 06: other right ones, and usual mistakes by the property that they break."""

import math

import torch
from workbook.exercises import edited, solutions

project, pcgrad, weights, training_step, _ = solutions("surgery").values()


def project_without_if(gradient, other):
    return gradient - (gradient @ other).clamp(max=0) / (other @ other) * other


def vaccine(gradient, other, target, guard=True, always=False, swapped=False, root=True, sign=1):
    own, length = gradient.norm(), other.norm()
    if guard and own * length == 0:
        return 0.0
    cosine = float(gradient @ other / (own * length))
    if cosine >= target and not always:
        return 0.0
    bent = math.sqrt(1 - target**2)
    amount = sign * (target * math.sqrt(max(0, 1 - cosine**2)) - cosine * bent) / (bent if root else 1)
    return amount * (length / own if swapped else own / length)


def step_by_backward(losses, shared, optimizer, weigh, max_norm):
    """Another way: one backward pass per task, and the shared gradients taken out after each."""
    optimizer.zero_grad(set_to_none=True)
    rows = []
    for loss in losses:
        loss.backward(retain_graph=True)
        rows.append(torch.nn.utils.parameters_to_vector([parameter.grad for parameter in shared]))
        for parameter in shared:
            parameter.grad = None
    jacobian = torch.stack(rows)
    gramian = jacobian @ jacobian.T
    combined = weigh(gramian) @ jacobian
    for parameter in shared:
        parameter.grad, combined = combined[: parameter.numel()].view_as(parameter), combined[parameter.numel() :]
    torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], max_norm)
    optimizer.step()
    return gramian


RIGHT = {
    "training_step": [step_by_backward],
    "project": [lambda g, o: g if g @ o >= 0 else g - (g @ o) / o.norm() * (o / o.norm())],
    "vaccine": [vaccine],
}
WRONG = {
    "project": [
        ("changes nothing", lambda g, o: project(o, g)),
        ("in a conflict", lambda g, o: g),
        ("the length of the other", lambda g, o: project(g, o) if g @ o >= 0 else g - g @ o * o),
        ("an other of all zeros", project_without_if),
    ],
    "pcgrad": [
        ("without a conflict", lambda g, order: pcgrad(g, order) / len(g)),
        ("two gradients in conflict", lambda g, order: g.sum(0)),
        ("leaves the gradients", edited(pcgrad, "gradients.clone() => gradients")),
        ("whether two conflict", edited(pcgrad, "product < 0 => gradients[i] @ gradients[j] < 0")),
        ("so does how much", edited(pcgrad, "-= product / => -= gradients[i] @ gradients[j] /")),
        ("takes the others", lambda g, order: pcgrad(g, [sorted(others) for others in order])),
    ],
    "weights": [
        ("without a conflict", edited(weights, "changed.sum => changed.mean")),
        ("two gradients of length 1", lambda g, order: torch.ones(len(g))),
        ("for unequal lengths", edited(weights, "gramian[j, j] => gramian[i, i]")),
        ("the products are those", edited(weights, "changed[i] @ gramian[:, j] => gramian[i, j]")),
        ("takes the others", lambda g, order: weights(g, [sorted(others) for others in order])),
        ("a gradient of all zeros", edited(weights, "product < 0 => True", "product / => product.clamp(max=0) /")),
    ],
    "training_step": [
        ("step 1", edited(training_step, "jacobian @ jacobian.T => torch.corrcoef(jacobian)")),
        ("step 1", lambda losses, *rest: None),
        ("step 2", edited(training_step, "if id(parameter) in common else 1.0 => ")),
        ("step 3", edited(training_step, "weigh(gramian) => torch.ones(len(gramian))")),
        ("step 4", edited(training_step, "clip_grad_norm_(parameters => clip_grad_norm_(shared")),
        ("step 4", edited(training_step, "torch.nn.utils.clip_grad_norm_(parameters, max_norm) => pass")),
        (
            "step 5",
            edited(
                training_step,
                "optimizer.zero_grad() => pass",
                "parameter.grad = sum(parts) => "
                "parameter.grad = sum([*parts, 0 if parameter.grad is None else parameter.grad])",
            ),
        ),
        ("step 6", edited(training_step, "if parts else None => if parts else torch.zeros_like(parameter)")),
    ],
    "vaccine": [
        ("is 0 where the cosine", lambda g, o, target: vaccine(g, o, target, always=True)),
        ("and a target of 0", lambda g, o, target: 0.0),
        ("and a target of 0", lambda g, o, target: vaccine(g, o, target, sign=-1)),
        ("and any target", lambda g, o, target: vaccine(g, o, target, root=False)),
        ("of any lengths", lambda g, o, target: vaccine(g, o, target, swapped=True)),
        ("either gradient is all zeros", lambda g, o, target: vaccine(g, o, target, guard=False)),
    ],
}
