"""The paper's hyper-parameter tables, written out: table -> the preset that follows it, and its fields."""

SGD_7A = {"optimizer": "sgd", "lr": 0.2, "weight_decay": 1e-4, "momentum": 0.9, "batch_size": 256, "schedule": "cosine"}
SGD_10A = {
    "optimizer": "sgd",
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch_size": 128,
    "schedule": "cosine",
}
# Adam and the cosine of recovery are not settings but part of the algorithm (tests/recover/test_loop.py).
RECOVER = {"betas": (0.5, 0.9), "group_size": 100, "alpha_tv": 0.0, "alpha_l2": 0.0}


def stage(name, **values):
    return {f"{name}.{field}": value for field, value in values.items()}


TABLES = {
    # Appendix A.4: the students' other settings are the squeezing ones too; the 100 epochs are theirs.
    "Table 7a": (
        "tiny-imagenet/{network}/paper",
        stage("squeeze", crop="resized", flip=0.0, **SGD_7A)
        | stage("validate", epochs=100, **SGD_7A)
        | stage("relabel", crop="resized", mix="none"),
    ),
    "Table 7b": (
        "imagenet-1k/{network}/paper",
        stage(
            "validate",
            optimizer="adamw",
            lr=0.001,
            weight_decay=0.01,
            betas=(0.9, 0.999),
            batch_size=1024,
            schedule="cosine",
            epochs=300,
        )
        # Appendix A.4: CutMix with probability 1 and Beta(1, 1), tau = 20.
        | stage("validate", temperature=20.0)
        | stage("relabel", crop="resized", mix="cutmix", mix_alpha=1.0),
    ),
    "Table 7c": (
        "tiny-imagenet/{network}/paper",
        stage("recover", alpha_bn=1.0, lr=0.1, steps=1000, crop="resized", **RECOVER),
    ),
    "Table 7d": (
        "imagenet-1k/{network}/paper",
        stage("recover", alpha_bn=0.01, lr=0.25, steps=2000, crop="resized", **RECOVER),
    ),
    "Table 10a": (
        "cifar100/resnet18/paper",
        stage("squeeze", epochs=200, crop="padded", **SGD_10A)
        | stage("validate", epochs=400, **SGD_10A)
        | stage("relabel", crop="padded"),
    ),
    "Table 10b": (
        "cifar100/resnet18/paper",
        stage("recover", alpha_bn=0.01, lr=0.25, steps=1000, **RECOVER) | stage("validate", temperature=30.0),
    ),
}
