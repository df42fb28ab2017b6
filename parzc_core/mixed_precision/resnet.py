"""ResNet-18 with the ImageNet stem, for the mixed-precision benchmark."""

import torch
from torch import nn


class Block(nn.Module):
    """Basic residual block: two 3x3 convolutions, the identity or a 1x1 convolution beside them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class ResNet18(nn.Module):
    """float32[N, channels, side, side] -> logits [N, classes]. He et al., "Deep Residual Learning" (CVPR 2016), Table 1.

    Stem of 7x7, stride 2, and max-pooling, so a 32x32 image reaches the last stage at 1x1; 21 quantizable layers and, with
    three channels, 1000 classes and width 64, 11,689,512 parameters. width: channels of the first stage, below 64 for tests.
    """

    def __init__(self, classes: int = 10, channels: int = 1, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = [width * 2**i for i in range(4)]
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(Block(before, after, 1 if i == 0 else 2), Block(after, after, 1))
            for i, (before, after) in enumerate(zip([width, *widths], widths, strict=False))
        )
        self.fc = nn.Linear(widths[-1], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean(dim=(2, 3)))
