"""What on a machine is in the way of a run; its door is `examination.examine`."""
