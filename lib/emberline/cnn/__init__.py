"""Networks on TensorFlow; its doors are the stages `train.run` and `predict.run`."""
